"""tiktoken's ranks files (`.tiktoken`, and the `tokenizer.model` of Llama 3) as a tokenizer.json.

A line is a token in base64, a space and its rank, which is its id. The file holds neither special tokens nor how text is cut
before it is merged: those of the files that OpenAI and Meta published are known here, of others they have to be given.

tiktoken joins the two neighbours whose bytes together have the lowest rank, whatever they are made of, and takes a piece that
is a token as it is. As merges this is every way to cut a token in two tokens, in order of the rank of the whole, with
`ignore_merges`: what huggingface/transformers does for Llama 3 (convert_slow_tokenizer.py).
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from curate.errors import InputError
from curate.io.bpe import SPLIT_PATTERNS, byte_letters

__all__ = ["Converted", "RanksPattern", "convert", "is_ranks"]

RanksPattern = Literal["gpt2", "cl100k", "llama3", "qwen2", "o200k"]
"""Names of the ways to cut text. cl100k and llama3 are the same."""

EOT = "<|endoftext|>"


@dataclass(frozen=True)
class _Known:
    """A published file: openai/tiktoken tiktoken_ext/openai_public.py, meta-llama/llama3 llama/tokenizer.py."""

    name: str
    pattern: RanksPattern
    ranks: int
    eos: str = EOT
    special: dict[str, int] = field(default_factory=dict)
    sha256: str = ""


_LLAMA3 = (
    *("<|begin_of_text|>", "<|end_of_text|>", *(f"<|reserved_special_token_{i}|>" for i in range(4))),
    *("<|start_header_id|>", "<|end_header_id|>", "<|reserved_special_token_4|>", "<|eot_id|>"),
    *(f"<|reserved_special_token_{i}|>" for i in range(5, 251)),
)
_CL100K = {
    EOT: 100257,
    "<|fim_prefix|>": 100258,
    "<|fim_middle|>": 100259,
    "<|fim_suffix|>": 100260,
    "<|endofprompt|>": 100276,
}
_O200K = {EOT: 199999, "<|endofprompt|>": 200018}
_KNOWN = (
    _Known("r50k_base", "gpt2", 50256, EOT, {EOT: 50256}, "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930"),
    _Known("p50k_base", "gpt2", 50280, EOT, {EOT: 50256}, "94b5ca7dff4d00767bc256fdd1b27e5b17361d7b8a5f968547f9f23eb70d2069"),
    _Known("cl100k_base", "cl100k", 100256, EOT, _CL100K, "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"),
    _Known("o200k_base", "o200k", 199998, EOT, _O200K, "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"),
    _Known("Llama 3", "llama3", 128000, "<|end_of_text|>", {name: 128000 + i for i, name in enumerate(_LLAMA3)}),
)

_LINE = re.compile(rb"[A-Za-z0-9+/]+={0,2} \d+\s*")


class Converted(NamedTuple):
    """A ranks file as a tokenizer of the tokenizers library."""

    source: str
    """Of the tokenizer.json."""
    eos: str
    note: str
    """What was known or guessed of the file."""


def is_ranks(path: Path) -> bool:
    """Whether a file is tiktoken's: by its name, or by its first line where it is called `.model`."""
    if path.suffix != ".model":
        return path.suffix == ".tiktoken"
    with path.open("rb") as file:
        return _LINE.fullmatch(file.readline(1 << 16)) is not None


def convert(path: Path, pattern: RanksPattern | None, eos_token: str | None) -> Converted:
    """The tokenizer of a ranks file. `pattern`, `eos_token`: given, or of the published file that this is.

    Raises InputError for a broken file, one whose pattern is not known, or an end-of-text token that a text can hold.
    O(bytes of all tokens); seconds for 200,000 of them, once a process.
    """
    return _convert(path, path.stat().st_mtime_ns, pattern, eos_token)


@functools.lru_cache(maxsize=1)
def _convert(path: Path, stamp: int, pattern: RanksPattern | None, eos_token: str | None) -> Converted:
    data = path.read_bytes()
    ranks = _read(path, data)
    known, how = _known(data, ranks)
    if pattern is None and known is None:
        raise InputError(
            f"{path}: a ranks file does not say how text is cut before it is merged: set split_pattern "
            "(gpt2, cl100k, llama3, qwen2, o200k)"
        )
    chosen = pattern or (known.pattern if known else "gpt2")
    letters = {byte: letter for letter, byte in byte_letters().items()}
    vocab = {"".join([letters[byte] for byte in token]): rank for token, rank in ranks.items()}
    special = dict(known.special) if known else {}
    eos = eos_token or (known.eos if known else EOT)
    if eos in vocab:
        raise InputError(f"{path}: eos_token {eos!r} is an ordinary token; name one that is none")
    special.setdefault(eos, max([*ranks.values(), *special.values()]) + 1)
    source = _build(vocab, _merges(ranks, letters), special, SPLIT_PATTERNS["llama3" if chosen == "cl100k" else chosen])
    _check_eos(path, source, eos, special[eos])
    note = f"{path.name}: {len(ranks):,} ranks, " + (f"{how} {known.name}, " if known else "of no published vocabulary, ")
    return Converted(source, eos, f"{note}split pattern {chosen}, a document ends with {eos} (id {special[eos]})")


def _read(path: Path, data: bytes) -> dict[bytes, int]:
    """The ranks by token. Raises InputError with the line."""
    ranks: dict[bytes, int] = {}
    seen: set[int] = set()
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        try:
            token, rank = line.split()
            found, id = base64.b64decode(token, validate=True), int(rank)
        except (ValueError, binascii.Error) as error:
            raise InputError(f"{path}:{number}: not a line of a ranks file: a token in base64, a space, a rank") from error
        if not found or id < 0 or found in ranks or id in seen:
            raise InputError(f"{path}:{number}: an empty token, or a token or rank that is there already")
        ranks[found] = id
        seen.add(id)
    if missing := [byte for byte in range(256) if bytes([byte]) not in ranks]:
        raise InputError(f"{path}: byte {missing[0]} is not among its tokens; a ranks file holds all 256")
    return ranks


def _known(data: bytes, ranks: dict[bytes, int]) -> tuple[_Known | None, str]:
    """Which published file this is, by its digest, else by how many ranks it has; and how that is known."""
    digest = hashlib.sha256(data).hexdigest()
    for known in _KNOWN:
        if known.sha256 == digest:
            return known, "which is"
    taken = set(ranks.values())
    for known in _KNOWN:
        if known.ranks == len(ranks) and not taken & set(known.special.values()):
            return known, "by their number taken for"
    return None, ""


def _merges(ranks: dict[bytes, int], letters: dict[int, str]) -> list[tuple[str, str]]:
    """Every way to cut a token in two, in order of the token's rank, then of the ranks of the two."""
    found = []
    for token, rank in ranks.items():
        for i in range(1, len(token)):
            left, right = ranks.get(token[:i]), ranks.get(token[i:])
            if left is not None and right is not None:
                found.append((rank, left, right, token[:i], token[i:]))
    found.sort()
    return [("".join([letters[b] for b in a]), "".join([letters[b] for b in c])) for _, _, _, a, c in found]


def _build(vocab: dict[str, int], merges: list[tuple[str, str]], special: dict[str, int], pattern: str) -> str:
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors

    # The special tokens stand in the vocabulary too: only there can ids have holes before them.
    tokenizer = Tokenizer(models.BPE({**vocab, **special}, merges, ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    names = sorted(special, key=special.__getitem__)
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in names])
    source: str = tokenizer.to_str()
    return source


def _check_eos(path: Path, source: str, eos: str, eos_id: int) -> None:
    """Raises InputError when ordinary text can give the id that closes documents: a piece of the vocabulary's own letters."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(source)
    tokenizer.encode_special_tokens = True
    if any(eos_id in tokenizer.encode(before + eos).ids for before in ("", " ", "x ", "x\n")):
        raise InputError(f"{path}: eos_token {eos!r} is met in texts as a word; name one that is none, such as {EOT}")
