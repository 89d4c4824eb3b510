"""The fast path of tokenizing: byte-level BPE with a known split pattern, from Arrow buffers to arrays of ids.

What a `tokenizer.json` says is read here; the work is done by `curate.kernels.bpe_split` and `curate.kernels.bpe`. The ids
are those of the tokenizers library, or there is no fast path: `read_bpe` says why.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.compiled import cache_folder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from curate.kernels.bpe_merges import Merges
    from curate.kernels.bpe_pieces import Pieces
    from curate.kernels.bpe_split import Classes, Pattern

__all__ = ["AWKWARD", "SPLIT_PATTERNS", "ByteLevelBPE", "byte_letters", "library_classes", "read_bpe", "split_regex"]

_LETTERS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_WORD = r"[^\r\n\p{L}\p{N}]?%s(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
SPLIT_PATTERNS: dict[Pattern, str] = {
    # Radford et al. 2019; openai/gpt-2 src/encoder.py
    "gpt2": r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    # meta-llama/llama3 llama/tokenizer.py: numbers in groups of up to three digits. The same as cl100k of openai/tiktoken.
    "llama3": _LETTERS % r"\p{N}{1,3}",
    # Qwen2's tokenizer.json: the same, each digit alone
    "qwen2": _LETTERS % r"\p{N}",
    # openai/tiktoken tiktoken_ext/openai_public.py: words are cut where lower case turns to upper case
    "o200k": "|".join([_WORD % f"{_UPPER}*{_LOWER}+", _WORD % f"{_UPPER}+{_LOWER}*", r"\p{N}{1,3}"])
    + r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
}
"""How byte-level BPE cuts text before it merges: no token spans a cut."""

_NUMBERS = {1: r"\p{N}", 3: r"\p{N}{1,3}", 0: r"\p{N}+"}
"""By how many digits stand together at most; 0: any number."""


def split_regex(pattern: Pattern, digits: int | None = None) -> str:
    """The regular expression of a split pattern, with at most so many digits together: 1, 3, or 0 for any number; None: as
    the pattern has it."""
    regex = SPLIT_PATTERNS[pattern]
    if digits is None:
        return regex
    own = next(number for number in (_NUMBERS[3], _NUMBERS[0], _NUMBERS[1]) if f"{number}|" in regex)
    return regex.replace(f"{own}|", f"{_NUMBERS[digits]}|")


_KNOWN: dict[str, tuple[Pattern, int | None]] = {
    **{split_regex(name, digits): (name, digits) for name in reversed(SPLIT_PATTERNS) for digits in _NUMBERS},
    **{regex: (name, None) for name, regex in SPLIT_PATTERNS.items()},
    # The same cuts as gpt2, written shorter: openai/tiktoken
    r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+": ("gpt2", None),
}

AWKWARD: tuple[str, ...] = (
    "don't DON'T we'Re I'LL they've 'ſ 'S's ' 's'' 'l 'r 'v it's2 x'd' it\u2019s",
    "a  b   c \t d \n e\r\nf \n\n\n g  \r  \n   ",
    " \u00a0x\u2003y\u3000\u3000z\x0b\x0c\x1c\x1d\x1e\x1f\x85\u2028\u2029\u180e\u200b\ufeff w",
    "1 12 123 1234 12345 0.5 1,234,567 \u0663\u0664\u0665\u0666 \u2167\u00bd\u00b2 x1y22z333",
    "...!!!\n\n?? -- == // /\r\n///x (a) [b] {c} <|endoftext|> <|pad|> #$%^&*\n",
    "caf\u00e9 cafe\u0301 \u0301ABC \u0301\u0301abc a\u0301B\u0302C \u01c5 \u02b0x \u0149 \u00df\u1e9e \u0130\u0131 \u212a",
    "camelCase HTTPServer ABCdefGHI'S XMLs'll iPhone'D A \u00c9t\u00c9",
    "\u6f22\u5b57\u304b\u306a\u30ab\u30ca\uff76\u3002 \ud55c\uad6d\uc5b4 \u0e44\u0e17\u0e22 "
    "\u0939\u093f\u0928\u094d\u0926\u0940 \u0627\u0644\u0639\u0631\u0628\u064a\u0629 \u05e2\u05d1\u05e8\u05d9\u05ea",
    "\U0001f9d1\u200d\U0001f680\U0001f44d\U0001f3fd \u2764\ufe0f 1\ufe0f\u20e3 \U0001d49c\U00020000\U0010ffff\ufffd\ue000",
    "\0\0a\0\x01\x7f\x80",
    "\u1c89\ua7cb\ua7da\u1c8a \U00010d40\U00010d50 \U00011bf0 \u0897x",
    "x" * 200 + " " * 300 + "y" + "\n" * 90 + " " * 40 + "=" * 170,
)
"""Texts that engines and Unicode versions cut in different ways."""

_GROUP_BYTES = 1 << 18
"""Texts of about this many bytes are cut and then merged: their cuts stay in the processor's cache."""


@dataclass(frozen=True)
class ByteLevelBPE:
    """A byte-level BPE tokenizer for kernels.

    pattern: the name of its split pattern.
    digits:  how many digits stand together at most where that is not as the pattern has it; 0: any number.
    added:   tokens that are looked for in the text before it is cut. `encode` does not; texts with one are not for it.
    """

    pattern: Pattern
    digits: int | None
    added: tuple[str, ...]
    _merges: Merges
    _pieces: Pieces = field(repr=False)

    def encode(
        self, offsets: NDArray[np.int64], data: NDArray[np.uint8], eos_id: int
    ) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """The ids of the texts one after another, each closed by `eos_id`, and how many each has.

        `offsets` int64[n+1] and `data` uint8[...] are the buffers of a LargeString array. For any number of threads.
        """
        from curate.kernels.bpe_pieces import encode_pieces

        return encode_pieces(data, offsets, self._cuts(offsets, data), self._merges, self._pieces, eos_id)

    def _cuts(
        self, offsets: NDArray[np.int64], data: NDArray[np.uint8]
    ) -> Iterator[tuple[int, int, NDArray[np.int64], NDArray[np.int64]]]:
        """Texts first to last - 1 and their cuts, about _GROUP_BYTES of them at a time."""
        import numpy as np

        from curate.kernels.bpe_split import pieces

        classes = library_classes()
        first, n = 0, len(offsets) - 1
        room = np.empty(_GROUP_BYTES, np.int64)
        while first < n:
            last = max(first + 1, int(np.searchsorted(offsets, offsets[first] + _GROUP_BYTES, "right")) - 1)
            yield first, last, *pieces(offsets[first : last + 1], data, self.pattern, classes, self.digits, room)
            first = last


def read_bpe(source: str) -> ByteLevelBPE | str:
    """The tokenizer for kernels, or why its texts have to go through the library. `source`: what `Tokenizer.to_str` gives.

    The ids are then those that the library gives with `encode_special_tokens` and `add_special_tokens=False`.
    """
    from curate.kernels.bpe_merges import make_merges
    from curate.kernels.bpe_pieces import Pieces

    found = json.loads(source)
    model = found["model"]
    if why := _odd(found):
        return why
    cuts = _pattern(found["pre_tokenizer"])
    if isinstance(cuts, str):
        return cuts
    alphabet = byte_letters()
    vocab = model["vocab"]
    arrays = _arrays(vocab, model["merges"], alphabet)
    whole = {}
    if model.get("ignore_merges"):
        for token, id in vocab.items():
            # Tokens with letters that no byte is written as are never a piece of text.
            if token and all(letter in alphabet for letter in token):
                whole[bytes(alphabet[letter] for letter in token)] = id
    added = tuple(token["content"] for token in found["added_tokens"] if not token["special"] and token["content"])
    return ByteLevelBPE(*cuts, added, make_merges(*arrays), Pieces(whole))


def _pattern(pre: dict[str, Any] | None) -> tuple[Pattern, int | None] | str:
    """The split pattern of a pre-tokenizer and its digits: ByteLevel with its own, or a Split before a ByteLevel without. Or
    why there is none."""
    parts = pre["pretokenizers"] if pre and pre["type"] == "Sequence" else [pre] if pre else []
    kinds = [part["type"] for part in parts]
    if not kinds or kinds[-1] != "ByteLevel":
        return f"pre-tokenizer {'+'.join(kinds) or 'none'}"
    if parts[-1]["add_prefix_space"]:
        return "a space is put before every text"
    if kinds == ["ByteLevel"] and parts[0]["use_regex"]:
        return "gpt2", None
    if kinds != ["Split", "ByteLevel"] or parts[1]["use_regex"]:
        return f"pre-tokenizer {'+'.join(kinds)}"
    if parts[0]["behavior"] != "Isolated" or parts[0]["invert"] or (regex := parts[0]["pattern"].get("Regex")) not in _KNOWN:
        return "its split pattern is none of the known ones"
    return _KNOWN[regex]


def _odd(found: dict[str, Any]) -> str:
    """Why a tokenizer that cuts as the kernels do does not merge as they do; empty when it does."""
    from curate.kernels.bpe import MAX_KEPT
    from curate.kernels.bpe_merges import MAX_ID

    model = found["model"]
    if model["type"] != "BPE":
        return f"model {model['type']}"
    if found["normalizer"] is not None:
        return f"normalizer {found['normalizer']['type']}"
    for option in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(option):
            return f"BPE with {option}"
    vocab = model["vocab"]
    if not all(letter in vocab for letter in byte_letters()):
        return "not every byte is in the vocabulary"
    if max(vocab.values()) > MAX_ID or len(vocab) > MAX_ID // 2:
        return "the vocabulary is too large"
    if model.get("ignore_merges") and max(map(len, vocab)) > MAX_KEPT:
        return f"a token is longer than {MAX_KEPT} bytes"
    return ""


def _arrays(vocab: dict[str, int], merges: list[Any], alphabet: dict[str, int]) -> tuple[NDArray[np.int32], ...]:
    """The ids of the 256 bytes; and left, right and result of every merge."""
    import numpy as np

    byte_ids = np.zeros(256, np.int32)
    for letter, byte in alphabet.items():
        byte_ids[byte] = vocab[letter]
    pairs = [pair.split(" ") if isinstance(pair, str) else pair for pair in merges]
    ids = np.fromiter((vocab[part] for a, b in pairs for part in (a, b, a + b)), np.int32, 3 * len(pairs)).reshape(-1, 3)
    return byte_ids, ids[:, 0], ids[:, 1], ids[:, 2]


@functools.cache
def byte_letters() -> dict[str, int]:
    """The letter that stands for each byte: itself if it prints, else one from U+0100 on (openai/gpt-2 src/encoder.py)."""
    printing = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printing]
    return {chr(byte): byte for byte in printing} | {chr(0x100 + i): byte for i, byte in enumerate(others)}


@functools.cache
def library_classes() -> Classes:
    """What the library's own engine takes for letters, numbers and spaces: asked, because its Unicode version is its own.

    Asking takes a second, so the answer is kept beside the compiled kernels, by the library's version.
    """
    import numpy as np

    from curate.kernels.bpe_split import make_classes

    regexes = (r"\p{L}", r"\p{N}", r"\s", _UPPER, _LOWER)
    kept = _classes_file(regexes)
    with contextlib.suppress(OSError, ValueError, EOFError):
        packed = np.load(kept)
        if packed.shape == (len(regexes), 0x110000 // 8) and packed.dtype == np.uint8:
            return make_classes(*np.unpackbits(packed, axis=1).astype(np.bool_))
    found = [_class(regex) for regex in regexes]
    with contextlib.suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        beside = kept.with_suffix(f".{os.getpid()}")
        with beside.open("wb") as file:
            np.save(file, np.packbits(found, axis=1))
        beside.replace(kept)
    return make_classes(*found)


def _classes_file(regexes: tuple[str, ...]) -> Path:
    """Where the classes are kept."""
    import tokenizers

    said = hashlib.blake2b("\n".join((tokenizers.__version__, *regexes)).encode(), digest_size=8).hexdigest()
    return cache_folder() / "classes" / f"{said}.npy"


def _class(regex: str) -> NDArray[np.bool_]:
    """bool[0x110000]: which code points one character of the library's regular expressions matches. 0.1 s."""
    import numpy as np
    from tokenizers import Regex, normalizers

    every = "".join(map(chr, (*range(0xD800), *range(0xE000, 0x110000))))
    left = normalizers.Replace(Regex(regex + "+"), "").normalize_str(every)
    found = np.ones(0x110000, np.bool_)
    found[np.frombuffer(left.encode("utf-32-le"), np.uint32)] = False
    found[0xD800:0xE000] = False
    return found
