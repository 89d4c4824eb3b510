"""Trained tokenizers: from counted words with our own kernels, or from texts with the libraries' trainers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from curate.errors import InputError
from curate.io.bpe import byte_letters, split_regex

if TYPE_CHECKING:
    import tokenizers

    from curate.kernels.bpe_split import Pattern
    from curate.kernels.bpe_words import WordCounts

__all__ = ["bpe", "check_specials", "from_sentencepiece", "sentencepiece_model", "unigram", "wordpiece"]

CONTINUING = "##"
"""Before tokens of wordpiece that continue a word (Devlin et al. 2019, google-research/bert tokenization.py)."""

LONGEST_WORD = 100
"""Bytes: where wordpiece cuts longer words. Looking for the longest token at each place takes the square of the length; the
models of the libraries give words of more than 100 letters up."""

_SPM_THREADS = 8
"""Fixed: sentencepiece adds up each thread's counts in floats, so its result depends on how many there are."""

_SPM_LONGEST = 10_000
"""Characters of a line that sentencepiece's BPE is given at once: it stops the process at words of more than 65,535."""

_NEVER = -1e4
"""Score of pieces that must not match text. The tokenizers library, unlike sentencepiece, looks for all pieces in the text;
their letters one by one (about -15 each at worst) score higher, as long as each letter has a piece."""


def bpe(
    words: WordCounts,
    vocab_size: int,
    specials: Sequence[str],
    pattern: Pattern,
    digits: int | None,
    passing: Callable[[int], None] = lambda tokens: None,
) -> tokenizers.Tokenizer:
    """Byte-level BPE (Sennrich et al. 2016; Radford et al. 2019) of counted words. The vocabulary and merges are those of
    the tokenizers library's trainer for the same text, with all 256 bytes as its alphabet."""
    from tokenizers import Tokenizer, decoders, models

    letters = sorted(byte_letters())
    names, merges = _learned(words.words(), vocab_size, [*specials, *letters], "", passing)
    tokenizer = Tokenizer(models.BPE({name: i for i, name in enumerate(names)}, merges))
    tokenizer.pre_tokenizer = _byte_level(pattern, digits)
    tokenizer.decoder = decoders.ByteLevel()
    return _finished(tokenizer, specials)


def wordpiece(
    words: WordCounts,
    vocab_size: int,
    specials: Sequence[str],
    pattern: Pattern,
    digits: int | None,
    passing: Callable[[int], None] = lambda tokens: None,
) -> tokenizers.Tokenizer:
    """WordPiece (Schuster & Nakajima 2012) on bytes: merges of BPE make the vocabulary, as in the tokenizers library, and a
    word is cut into the longest tokens from the left.

    Every text comes back from its ids: white space is part of the words, all bytes have tokens, both at the beginning of a
    word and inside one, and `#` is a word of its own, so that it is never taken for the mark of a token inside a word.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    from curate.kernels.bpe_words import WordCounts, cut_words

    offsets, data, counts = words.words()
    ends, word = cut_words(offsets, data, ord("#"), LONGEST_WORD)
    parts = WordCounts()
    parts.add(data, 0, ends, counts[word])
    letters = sorted(byte_letters())
    inside = [CONTINUING + letter for letter in letters if letter != "#"]
    names, _ = _learned(parts.words(), vocab_size, [*specials, *letters, *inside], CONTINUING, passing)
    vocab = {name: i for i, name in enumerate(names)}
    tokenizer = Tokenizer(models.WordPiece(vocab, continuing_subword_prefix=CONTINUING, max_input_chars_per_word=LONGEST_WORD))
    hash_apart = pre_tokenizers.Split("#", "isolated")
    tokenizer.pre_tokenizer = _byte_level(pattern, digits, hash_apart, pre_tokenizers.FixedLength(LONGEST_WORD))
    tokenizer.decoder = decoders.Sequence([decoders.Replace(CONTINUING, ""), decoders.ByteLevel()])
    return _finished(tokenizer, specials)


def unigram(
    words: WordCounts,
    vocab_size: int,
    specials: Sequence[str],
    pattern: Pattern,
    digits: int | None,
    scratch: Path,
) -> tokenizers.Tokenizer:
    """The unigram model (Kudo 2018) on bytes. `scratch`: where a file of the words may be written.

    The pieces and their scores are learned by sentencepiece from the counted words, as the tokenizers library would: what it
    learns itself is another model at every run, because it goes through the words in the order of a hash table.
    """
    import sentencepiece
    from tokenizers import Tokenizer, decoders, models

    alphabet = byte_letters()
    offsets, data, counts = words.words()
    letters = data.tobytes().decode("latin-1").translate({byte: letter for letter, byte in alphabet.items()})
    ends = offsets.tolist()
    found = sorted(zip((letters[a:b] for a, b in itertools.pairwise(ends)), counts.tolist(), strict=True))
    # Letters are pieces where they are met.
    found += [(letter, 1) for letter in sorted(alphabet)]
    scratch.write_text("".join(f"{word}\t{count}\n" for word, count in found), encoding="utf-8")
    model = _trained(
        input=str(scratch),
        input_format="tsv",
        model_type="unigram",
        # One more, for what is unknown: on bytes nothing is.
        vocab_size=vocab_size - len(specials) + 1,
        character_coverage=1.0,
        split_by_unicode_script=False,
        split_by_number=False,
        unk_id=0,
        bos_id=-1,
        eos_id=-1,
        pad_id=-1,
    )
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    learned = [(processor.id_to_piece(i), processor.get_score(i)) for i in range(1, processor.vocab_size())]
    pieces = [*((name, _NEVER) for name in specials), *learned]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=None, byte_fallback=False))
    tokenizer.pre_tokenizer = _byte_level(pattern, digits)
    tokenizer.decoder = decoders.ByteLevel()
    return _finished(tokenizer, specials)


def check_specials(specials: Sequence[str], pattern: Pattern, digits: int | None) -> None:
    """Raises InputError for a special token that could be a word of a text: it would then be found in texts."""
    cuts = _byte_level(pattern, digits)
    for token in specials:
        if len(cuts.pre_tokenize_str(token)) == 1:
            raise InputError(f"special_tokens: {token} could be a word of a text; give it other marks too, such as <|{token}|>")


def _byte_level(pattern: Pattern, digits: int | None, *more: Any) -> Any:
    from tokenizers import Regex, pre_tokenizers

    split = pre_tokenizers.Split(Regex(split_regex(pattern, digits)), "isolated")
    return pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False), *more])


def _finished(tokenizer: tokenizers.Tokenizer, specials: Sequence[str]) -> tokenizers.Tokenizer:
    from tokenizers import processors

    # Offsets are left as they are: a token with a leading space begins at the space.
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.add_special_tokens(list(specials))
    return tokenizer


def _learned(
    words: tuple[Any, Any, Any], vocab_size: int, names: list[str], continuing: str, passing: Callable[[int], None]
) -> tuple[list[str], list[tuple[str, str]]]:
    """All tokens, those of `names` first, and the merges. Tokens are written in the letters of `byte_letters`."""
    import numpy as np

    from curate.kernels.bpe_train import learn_merges

    alphabet = byte_letters()
    marked = {continuing + letter: continuing.encode() + bytes([byte]) for letter, byte in alphabet.items()}
    # No merge makes a special token: each is more than one word.
    spelled = [marked.get(name) or (bytes([alphabet[name]]) if name in alphabet else b"") for name in names]
    ids = {name: i for i, name in enumerate(names)}
    first, later = np.zeros(256, np.int32), np.zeros(256, np.int32)
    for letter, byte in alphabet.items():
        first[byte], later[byte] = ids[letter], ids.get(continuing + letter, 0)
    merged = learn_merges(*words, spelled, first, later, vocab_size, prefix=len(continuing), passing=passing)
    names, merges = list(names), []
    for left, right, result in zip(*(part.tolist() for part in merged), strict=True):
        merges.append((names[left], names[right]))
        if result == len(names):
            names.append(names[left] + names[right][len(continuing) :])
    return names, merges


def sentencepiece_model(
    texts: Iterable[str], kind: Literal["bpe", "unigram"], vocab_size: int, specials: Sequence[str], *, split_digits: bool
) -> bytes:
    """A sentencepiece model that changes nothing in the text: no normalization, no space put before it.

    It is trained line by line (its sentences); the newline is then a byte token between lines, as in Llama 2's tokenizer.
    """
    eos, pad, *others = specials
    lines = (line for text in texts for line in text.split("\n"))
    return _trained(
        sentence_iterator=_short(lines) if kind == "bpe" else lines,
        model_type=kind,
        vocab_size=vocab_size,
        byte_fallback=True,
        character_coverage=0.9995,
        split_digits=split_digits,
        allow_whitespace_only_pieces=True,
        eos_id=0,
        eos_piece=eos,
        pad_id=1,
        pad_piece=pad,
        unk_id=2,
        bos_id=-1,
        control_symbols=others,
        # Every letter of the special tokens and of the bytes' names gets a piece: see _NEVER.
        required_chars="".join(sorted({*"".join(specials), *"<0x123456789ABCDEF>unk"})),
    )


def _trained(**options: Any) -> bytes:
    """A model by sentencepiece that changes nothing in the text."""
    import io

    import sentencepiece

    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            model_writer=model,
            hard_vocab_limit=False,
            normalization_rule_name="identity",
            add_dummy_prefix=False,
            remove_extra_whitespaces=False,
            max_sentence_length=1 << 20,
            num_threads=_SPM_THREADS,
            minloglevel=2,
            **options,
        )
    except (OSError, RuntimeError) as error:
        raise InputError(f"tokenizer train: sentencepiece cannot train on this text: {error}") from error
    return model.getvalue()


def _short(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        for start in range(0, len(line), _SPM_LONGEST):
            yield line[start : start + _SPM_LONGEST]


def from_sentencepiece(model: bytes, kind: Literal["bpe", "unigram"]) -> tokenizers.Tokenizer:
    """The same model for the tokenizers library; for models as `sentencepiece_model` makes them (nothing is normalized).

    Lines are cut apart because the models were trained on lines, and to add up scores over a line, not a document.
    """
    import sentencepiece
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    ids = range(processor.vocab_size())
    aside = [processor.is_control(i) or processor.is_unknown(i) or processor.is_byte(i) for i in ids]
    names = [processor.id_to_piece(i) for i in ids]
    if kind == "unigram":
        pieces = [(names[i], _NEVER if aside[i] else processor.get_score(i)) for i in ids]
        tokenizer = Tokenizer(models.Unigram(pieces, unk_id=processor.unk_id(), byte_fallback=True))
    else:
        rank = {names[i]: i for i in ids if not aside[i]}
        # Any two pieces that make a piece are merged, those first that make the piece learned first.
        cuts = ((name[:at], name[at:]) for name in rank for at in range(1, len(name)))
        merges = [(left, right) for left, right in cuts if left in rank and right in rank]
        vocab = {name: i for i, name in enumerate(names)}
        unknown = names[processor.unk_id()]
        tokenizer = Tokenizer(models.BPE(vocab, merges, unk_token=unknown, byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split("\n", "isolated")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens([names[i] for i in ids if processor.is_control(i)])
    return tokenizer
