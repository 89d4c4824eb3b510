"""`python -m benchmarks.fuzz_bpe --minutes N [--seed S] TOKENIZER ...`: random texts through the fast path and the library.

Ends with the first text whose ids differ, made as short as it gets, or with how many texts and bytes agreed.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from curate.analysis import text_buffers
from curate.io.bpe import AWKWARD, ByteLevelBPE, read_bpe

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["AWKWARD", "same", "texts_of"]

_WORDS = "the of and to in is that it was for on are with as his they be at one have this from or had by hot word but what"
_BLANKS = [
    " ", "  ", "   ", "\n", "\r\n", "\r", "\t", "\n\n", " \n", "\n ", "\u00a0", "\u2003", "\u3000", "\x0b", "\x85", "\u2028",
]  # fmt: skip
_PARTS: list[str] = [
    *"aAbzZ09'/.,-_!?\0\x1c\x7f", "'s", "'S", "'ſ", "'ll", "'LL", "'Re", "'vE", "'D", "'x", "don't", "é", "e\u0301", "\u0301",
    "ǅ", "ʰ", "ſ", "ß", "İ", "K", "漢字", "かな", "한국", "ไทย", "हिन्दी", "العربية", "ŉ", "٣", "½", "Ⅷ", "1234567",
    "🧑\u200d🚀", "\u200d", "\ufeff", "\ufffd", "<|endoftext|>", "<|pad|>", "//\r\n", "==", "camelCaseHTTPWord", "\U0010ffff",
]  # fmt: skip
_SCRIPTS = [(0, 0x80), (0x80, 0x300), (0x300, 0x370), (0x370, 0x600), (0x600, 0x1000), (0x1000, 0x2000), (0x2000, 0x3000),
            (0x3000, 0x4000), (0x4E00, 0xA000), (0xAC00, 0xD7A4), (0xF900, 0x10000), (0x10000, 0x20000), (0x1F300, 0x1FB00),
            (0x20000, 0x30000), (0xE0000, 0xE0200), (0, 0xD800), (0xE000, 0x110000)]  # fmt: skip


def texts_of(rng: random.Random) -> list[str]:
    """A few texts of one kind: words, awkward parts, code points of some scripts, long runs, or mixtures of them."""
    words = _WORDS.split()

    def part() -> str:
        kind = rng.random()
        if kind < 0.3:
            word = rng.choice(words)
            return str(rng.choice([" ", " ", "", "\n"]) + rng.choice([word, word.title(), word.upper()]))
        if kind < 0.5:
            return rng.choice(_PARTS)
        if kind < 0.65:
            return str(rng.choice(_BLANKS) * rng.choice([1, 1, 1, 2, 3, 17]))
        if kind < 0.75:
            return "".join(rng.choice("0123456789") for _ in range(rng.randrange(1, 9)))
        if kind < 0.78:
            return str(rng.choice([*_PARTS, *_BLANKS]) * rng.choice([5, 50, 130, 300]))
        first, last = rng.choice(_SCRIPTS)
        return "".join(chr(rng.randrange(first, last)) for _ in range(rng.randrange(1, 12)))

    return ["".join(part() for _ in range(rng.choice([1, 2, 5, 10, 40]))) for _ in range(rng.randrange(1, 8))]


def same(tokenizer: Tokenizer, fast: ByteLevelBPE, texts: list[str]) -> str | None:
    """None where both give the same ids, else the text that gets others. `tokenizer` has `encode_special_tokens` set."""
    tokens, lengths = fast.encode(*text_buffers(pl.Series(texts, dtype=pl.String)), 0)
    expected = [encoding.ids for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
    found = np.split(tokens, np.cumsum(lengths))[:-1]
    return next((text for text, a, b in zip(texts, found, expected, strict=True) if a.tolist() != [*b, 0]), None)


def main() -> None:
    """Run until the time is over or two ids differ."""
    from tokenizers import Tokenizer

    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz_bpe", description=__doc__)
    parser.add_argument("tokenizer", nargs="+", type=Path, help="a tokenizer.json")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    pairs = []
    for path in options.tokenizer:
        tokenizer = Tokenizer.from_file(str(path))
        tokenizer.encode_special_tokens = True
        fast = read_bpe(tokenizer.to_str())
        if isinstance(fast, str):
            parser.error(f"{path}: has no fast path: {fast}")
        pairs.append((tokenizer, fast))
    end = time.monotonic() + 60 * options.minutes
    texts = size = 0
    while time.monotonic() < end:
        made = [text for _ in range(100) for text in texts_of(rng)]
        for tokenizer, fast in pairs:
            if (odd := same(tokenizer, fast, made)) is not None:
                sys.exit(f"other ids, pattern {fast.pattern}: {_shorter(tokenizer, fast, odd)!r}")
        texts += len(made) * len(pairs)
        size += sum(len(text.encode()) for text in made) * len(pairs)
    sys.stdout.write(f"{texts:,} texts, {size / 1e6:,.1f} MB, seed {options.seed}: the same ids\n")


def _shorter(tokenizer: Tokenizer, fast: ByteLevelBPE, text: str) -> str:
    """What is left of a text that gets other ids when no part of it can go."""
    part = len(text) // 2
    while part:
        for at in range(0, len(text), part):
            less = text[:at] + text[at + part :]
            if same(tokenizer, fast, [less]) is not None:
                text = less
                break
        else:
            part //= 2
    return text


if __name__ == "__main__":
    main()
