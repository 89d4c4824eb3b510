from __future__ import annotations

import functools
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pydantic
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from curate.errors import InputError
from curate.io.bpe import SPLIT_PATTERNS
from curate.jobs.tokenizer import EOS, PAD, TrainTokenizer
from tests.command import curate
from tests.work import MemoryWork, rows, run_job

SENTENCES = [
    "The function returns a new list that holds the squares of the numbers it was given.",
    "Es war einmal ein König, der hatte eine Tochter; sie war über alle Maßen schön.",
    "    for index in range(10):\n        print(index, total + index)\n",
    "Les élèves apprennent à écrire des programmes qui comptent jusqu'à 1234567890.",
    "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。",
    "Это предложение нужно, чтобы в словаре были буквы кириллицы.",
    "A page about tokenizers says <|endoftext|> and <|im_end|> where a document ends.",
]


def corpus(n: int = 300) -> list[str]:
    """Texts that differ, with a vocabulary wide enough to train on."""
    return [
        " ".join([SENTENCES[i % 7], SENTENCES[(i * 3 + 1) % 7], hashlib.md5(str(i).encode()).hexdigest(), f"item {i}\n"])
        for i in range(n)
    ]


def shards(texts: list[str], parts: int = 3) -> list[list[pl.DataFrame]]:
    size = -(-len(texts) // parts)
    return [[rows(texts[i : i + size], i)] for i in range(0, len(texts), size)]


def train(folder: Path, **options: object) -> MemoryWork:
    job = TrainTokenizer.model_validate({"vocab_size": 700, **options})
    return run_job(job, folder, shards(corpus()))


KINDS: dict[str, dict[str, object]] = {
    "bpe": {},
    "wordpiece": {"kind": "wordpiece", "vocab_size": 900},
    "unigram": {"kind": "unigram", "library": "tokenizers"},
    "bpe_sentencepiece": {"library": "sentencepiece", "vocab_size": 900},
    "unigram_sentencepiece": {"kind": "unigram"},
}
ON_BYTES = ["bpe", "wordpiece", "unigram"]
ON_CHARACTERS = ["bpe_sentencepiece", "unigram_sentencepiece"]

Folders = Callable[[str], Path]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """The trained tokenizer of a kind."""

    @functools.cache
    def of(kind: str) -> Path:
        place = tmp_path_factory.mktemp(kind)
        train(place, **KINDS[kind])
        return place / "data"

    return of


def load(folder: Path):  # type: ignore[no-untyped-def]
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.encode_special_tokens = True
    return tokenizer


UNICODE = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


def ids_of(folder: Path, text: str) -> list[int]:
    ids: list[int] = load(folder).encode(text, add_special_tokens=False).ids
    return ids


@pytest.mark.parametrize("kind", ON_BYTES)
@settings(max_examples=150)
@given(text=UNICODE)
@example(text="##a # ## b##c ###" + "x" * 333 + "##" * 120)
def test_every_text_comes_back(folder: Folders, kind: str, text: str) -> None:
    assert load(folder(kind)).decode(ids_of(folder(kind), text), skip_special_tokens=False) == text


@pytest.mark.parametrize("kind", ON_CHARACTERS)
@settings(max_examples=150)
@given(text=UNICODE)
def test_every_text_comes_back_but_for_sentencepieces_sign_for_the_space(folder: Folders, kind: str, text: str) -> None:
    decoded = load(folder(kind)).decode(ids_of(folder(kind), text), skip_special_tokens=False)
    assert decoded == text.replace("▁", " ")


@pytest.mark.parametrize("kind", KINDS)
def test_tokenize_gives_the_same_ids(folder: Folders, kind: str) -> None:
    from curate.io.encoder import Encoder

    encoder = Encoder.load(str(folder(kind)), None, parallel=False)
    assert encoder.eos_id == 0
    assert encoder.fast == (kind == "bpe")
    texts = [*corpus(40), f"a {EOS} b", ""]
    tokens, lengths = encoder.encode(pl.Series(texts))
    assert tokens.tolist() == [id for text in texts for id in [*ids_of(folder(kind), text), 0]]
    assert lengths.tolist() == [len(ids_of(folder(kind), text)) + 1 for text in texts]


def test_bpe_is_what_the_librarys_trainer_makes_of_the_same_text(tmp_path: Path) -> None:
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    texts, held_out = corpus(200), ["not for training"]
    split = ["train"] * 200 + ["validation"]
    job = TrainTokenizer(vocab_size=1_000)
    run_job(job, tmp_path, [[rows(texts + held_out, split=split)]])
    tokenizer = Tokenizer(models.BPE())
    cut = pre_tokenizers.Split(Regex(SPLIT_PATTERNS["llama3"]), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([cut, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=1_000, special_tokens=job.specials(), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    assert (tmp_path / "data" / "tokenizer.json").read_text() == tokenizer.to_str(pretty=True) + "\n"


@pytest.mark.parametrize(
    ("rule", "digits"), [("split_each", [*"1234567"]), ("up_to_three", ["123", "456", "7"]), ("keep", ["1234567"])]
)
@pytest.mark.parametrize("pattern", [*SPLIT_PATTERNS, "cl100k"])
def test_digits_stand_together_as_the_rule_says(tmp_path: Path, pattern: str, rule: str, digits: list[str]) -> None:
    train(tmp_path, split_pattern=pattern, digits=rule, vocab_size=512)
    pieces = [piece for piece, _ in load(tmp_path / "data").pre_tokenizer.pre_tokenize_str("a1234567")]
    assert pieces == ["a", *digits]
    from curate.io.encoder import Encoder

    assert Encoder.load(str(tmp_path), None, parallel=False).fast


def test_digits_of_sentencepiece(tmp_path: Path) -> None:
    numbers = [[rows(["1234 5678 " * 20] * 50)]]
    for rule, longest in (("split_each", 1), ("keep", 4)):
        job = TrainTokenizer(library="sentencepiece", digits=rule, vocab_size=512)  # type: ignore[arg-type]
        run_job(job, tmp_path / rule, numbers)
        vocab = load(tmp_path / rule / "data").get_vocab()
        assert max(len(token.strip("▁")) for token in vocab if token.strip("▁").isdigit()) == longest


@pytest.mark.parametrize("pattern", SPLIT_PATTERNS)
def test_split_patterns_lose_nothing_and_treat_digits_as_they_say(tmp_path: Path, pattern: str) -> None:
    train(tmp_path, split_pattern=pattern)
    tokenizer = load(tmp_path / "data")
    pieces = [piece for piece, _ in tokenizer.pre_tokenizer.pre_tokenize_str("in 1234567 don't  stop\n\n x")]
    threes = ["Ġ", "123", "456", "7"]
    digits = {"gpt2": ["Ġ1234567"], "llama3": threes, "qwen2": ["Ġ", *"1234567"], "o200k": threes}[pattern]
    assert pieces[1 : 1 + len(digits)] == digits
    assert ("Ġdon't" if pattern == "o200k" else "'t") in pieces
    text = "".join(corpus(7)) + "\t\r\n 12 345 '' don't"
    assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text


@pytest.mark.parametrize("kind", ON_CHARACTERS)
def test_lines_are_cut_as_sentencepiece_does_up_to_ties(folder: Folders, kind: str) -> None:
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_file=str(folder(kind) / "tokenizer.model"))
    tokenizer = load(folder(kind))
    assert tokenizer.get_vocab_size() == processor.vocab_size()
    assert all(tokenizer.id_to_token(i) == processor.id_to_piece(i) for i in range(processor.vocab_size()))
    lines = [line for text in corpus(100) for line in text.split("\n")] + ["<unk> <0x0A> <|pad|> ▁ é ☃ \t x", ""]
    same = 0
    for line in lines:
        ours, theirs = ids_of(folder(kind), line), processor.encode(line)
        same += ours == theirs
        if kind == "unigram_sentencepiece":
            assert sum(map(processor.get_score, ours)) == pytest.approx(sum(map(processor.get_score, theirs)), rel=1e-5)
    assert same > 0.9 * len(lines)


def test_the_same_bytes_come_out_in_another_process_and_order(tmp_path: Path, folder: Folders) -> None:
    """Another process has other hash seeds; the shards are worked on in another order."""
    code = (
        "import sys; from pathlib import Path; from tests.jobs.test_tokenizer import *\n"
        "for kind, options in KINDS.items():\n"
        "    job = TrainTokenizer.model_validate({'vocab_size': 700, **options})\n"
        "    run_job(job, Path(sys.argv[1]) / kind, shards(corpus()), order=[2, 0, 1])"
    )
    env = {"PYTHONPATH": str(Path(__file__).parents[2]), "RAYON_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, env=env)
    for kind in KINDS:
        names = {path.name for path in folder(kind).iterdir()}
        model = {"tokenizer.model"} if kind in ON_CHARACTERS else set()
        assert names == {"tokenizer.json", "tokenizer_config.json", "held_out.json"} | model
        for name in names:
            assert (tmp_path / kind / "data" / name).read_bytes() == (folder(kind) / name).read_bytes(), (kind, name)


def test_one_and_two_workers_and_other_files_give_the_same_bytes(tmp_path: Path) -> None:
    texts = corpus(400)
    written = []
    for parts, workers in ((1, "1"), (4, "2")):
        place = tmp_path / str(parts)
        place.mkdir()
        size = len(texts) // parts
        for part in range(parts):
            lines = [json.dumps({"id": f"d{i}", "text": texts[i]}) for i in range(part * size, (part + 1) * size)]
            (place / f"{part}.jsonl").write_text("\n".join(lines) + "\n")
        command = ["tokenizer", "train", str(place), "--vocab-size", "700", "--workers", workers, "-o", str(place / "out")]
        assert curate(*command).returncode == 0
        written.append({path.name: path.read_bytes() for path in (place / "out" / "data").iterdir()})
    assert written[0] == written[1]


@pytest.mark.parametrize("kind", KINDS)
def test_special_tokens_come_first_and_their_letters_in_a_text_are_text(folder: Folders, kind: str) -> None:
    tokenizer = load(folder(kind))
    assert [tokenizer.token_to_id(token) for token in (EOS, PAD)] == [0, 1]
    turns = [tokenizer.token_to_id(token) for token in ("<|im_start|>", "<|im_end|>")]
    assert turns == ([2, 3] if kind in ON_BYTES else [3, 4])
    ids = tokenizer.encode(f"a{EOS}b{PAD}<|im_start|>", add_special_tokens=False).ids
    assert not {0, 1, *turns} & set(ids)
    assert tokenizer.decode(ids, skip_special_tokens=False) == f"a{EOS}b{PAD}<|im_start|>"
    tokenizer.encode_special_tokens = False
    assert tokenizer.encode(f"a{EOS}", add_special_tokens=False).ids[-1] == 0


@pytest.mark.parametrize("kind", KINDS)
def test_transformers_loads_it_and_marks_what_the_assistant_says(folder: Folders, kind: str) -> None:
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder(kind), local_files_only=True)
    assert (tokenizer.eos_token, tokenizer.pad_token, tokenizer.bos_token) == (EOS, PAD, None)
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id) == (0, 1)
    assert len(tokenizer) == load(folder(kind)).get_vocab_size()
    text = SENTENCES[1]
    assert tokenizer(text)["input_ids"] == ids_of(folder(kind), text)
    chat = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "\n\nWas ist ein König?"},
        {"role": "assistant", "content": "Ein Mann.\nEr hat 1234 Töchter. 猫☃"},
        {"role": "user", "content": "And then?"},
        {"role": "assistant", "content": "    print('Über')"},
    ]
    out = tokenizer.apply_chat_template(chat, return_assistant_tokens_mask=True, return_dict=True)
    ids, mask = out["input_ids"], out["assistant_masks"]
    spans, span = [], []
    for token, marked in zip([*ids, 0], [*mask, 0], strict=True):
        if marked:
            span.append(token)
        elif span:
            spans.append(tokenizer.decode(span))
            span = []
    assert spans == ["Ein Mann.\nEr hat 1234 Töchter. 猫☃<|im_end|>", "print('Über')<|im_end|>"]
    assert tokenizer.decode(ids).startswith("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWas ist")
    # What a model is asked with is, token by token, how the whole conversation begins.
    asked = tokenizer.apply_chat_template(chat[:-1], add_generation_prompt=True, return_dict=True)["input_ids"]
    assert ids[: len(asked)] == asked
    assert mask[len(asked)] == 1
    assert mask[len(asked) - 1] == 0


def test_without_a_template_there_are_no_turn_tokens(tmp_path: Path) -> None:
    train(tmp_path, chat_template=False, special_tokens=["<|tool|>"])
    config = json.loads((tmp_path / "data" / "tokenizer_config.json").read_text())
    assert "chat_template" not in config
    tokenizer = load(tmp_path / "data")
    assert tokenizer.token_to_id("<|tool|>") == 2
    assert tokenizer.token_to_id("<|im_end|>") is None


@pytest.mark.parametrize("library", ["tokenizers", "sentencepiece"])
def test_the_sample_is_about_as_large_as_asked_and_the_rest_is_measured(tmp_path: Path, library: str) -> None:
    texts = corpus(2000)
    total = sum(len(text.encode()) for text in texts)
    job = TrainTokenizer(vocab_size=600, sample_bytes=total // 4, library=library)  # type: ignore[arg-type]
    work = run_job(job, tmp_path, shards(texts))
    frame = pl.concat([pl.read_parquet(path) for path in sorted((tmp_path / "work").glob("texts-*"))])
    sample = frame.filter(~pl.col("held_out"))
    assert sample["text"].str.len_bytes().sum() == pytest.approx(total / 4, rel=0.15)
    assert sample.height + frame["held_out"].sum() == len(texts)
    result = work.results["train"][0]
    assert result["vocab_size"] == 600
    tokenizer = load(tmp_path / "data")
    for held_out, name in ((False, "sample"), (True, "held_out")):
        part = frame.filter(pl.col("held_out") == held_out)["text"].to_list()
        tokens = sum(len(tokenizer.encode(t).ids) for t in part)
        assert (result[name]["tokens"], result[name]["documents"]) == (tokens, len(part))
        assert result[name]["bytes_per_token"] == pytest.approx(sum(len(t.encode()) for t in part) / tokens, abs=1e-4)
    # Another seed draws another sample of the same size; the same seed the same, cut into other shards.
    again = run_job(job, tmp_path / "again", shards(texts, parts=7))
    assert again.results["train"] == work.results["train"]
    assert (tmp_path / "again/data/tokenizer.json").read_bytes() == (tmp_path / "data/tokenizer.json").read_bytes()
    run_job(job.model_copy(update={"seed": 1}), tmp_path / "other", shards(texts))
    other = pl.concat([pl.read_parquet(path) for path in sorted((tmp_path / "other/work").glob("texts-*"))])
    assert set(other.filter(~pl.col("held_out"))["text"]) != set(sample["text"])


def test_a_fiftieth_is_held_out_where_the_sample_would_be_everything(tmp_path: Path) -> None:
    work = run_job(TrainTokenizer(vocab_size=600), tmp_path, shards(corpus(3000)))
    result = work.results["train"][0]
    assert result["sample"]["documents"] + result["held_out"]["documents"] == 3000
    assert 30 <= result["held_out"]["documents"] <= 90


def test_held_out_text_is_measured_by_language_and_source(tmp_path: Path) -> None:
    """Byte by byte, so that every number is known: é is two bytes, 猫 three."""
    columns = {
        "split": ["train", *["validation"] * 5],
        "lang": ["xx", "fr", "fr", "ja", None, "fr"],
        "source": ["s", "a", "b", "b", "b", "a"],
    }
    work = run_job(TrainTokenizer(vocab_size=512), tmp_path, [[rows(["é", "né né", "a é", "猫猫猫 x", "q", ""], **columns)]])
    found = json.loads((tmp_path / "data" / "held_out.json").read_text())
    assert {name: work.results["train"][0][name] for name in found} == found
    assert list(found) == ["sample", "held_out", "lang", "source"]
    assert set(found["lang"]) == {"fr", "ja"}
    assert set(found["source"]) == {"a", "b"}
    tokenizer = load(tmp_path / "data")
    french = len(tokenizer.encode("né né").ids) + len(tokenizer.encode("a é").ids)
    assert found["lang"]["fr"] == {
        "documents": 3,
        "bytes": 11,
        "tokens": french,
        "bytes_per_token": round(11 / french, 4),
        "tokens_per_word": round(french / 4, 4),
        "tokens_per_character": round(french / 8, 4),
    }
    assert found["lang"]["ja"]["tokens_per_word"] is None
    assert found["lang"]["ja"]["tokens_per_character"] == round(found["lang"]["ja"]["tokens"] / 5, 4)
    assert found["held_out"]["documents"] == 5
    assert any(line.startswith("lang ja") and " - " in line for line in work.said)


def test_validation_rows_are_left_out_of_training_and_measured(tmp_path: Path) -> None:
    split = ["validation" if i % 10 == 0 else None if i % 2 else "train" for i in range(100)]
    texts = ["ж" * 20 + f" {i}" if i % 10 == 0 else "abc abc abd" for i in range(100)]
    work = run_job(TrainTokenizer(vocab_size=512), tmp_path, [[rows(texts, split=split)]])
    assert "жж" not in "".join(load(tmp_path / "data").get_vocab())
    assert load(tmp_path / "data").token_to_id("abc") is not None
    result = work.results["train"][0]
    assert (result["sample"]["documents"], result["held_out"]["documents"]) == (90, 10)
    assert result["held_out"]["bytes_per_token"] == pytest.approx(1, rel=0.1)
    assert any("there is no more in the sample" in line for line in work.said)


def test_a_piece_of_the_validation_split_alone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no text to train on"):
        run_job(TrainTokenizer(), tmp_path, [[rows(["abc"], split=["validation"])]])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"special_tokens": [PAD]}, "there already"),
        ({"special_tokens": [""]}, "empty"),
        ({"special_tokens": ["<|a b|>"]}, "a space"),
        ({"kind": "unigram", "split_pattern": "gpt2"}, "for library tokenizers"),
        ({"library": "sentencepiece", "digits": "up_to_three"}, "split_each and keep only"),
        ({"kind": "wordpiece", "library": "sentencepiece"}, "no wordpiece"),
        ({"kind": "wordpiece", "vocab_size": 512}, "needs 515 at least"),
        ({"special_tokens": [f"<{i}>" for i in range(300)], "vocab_size": 512}, "needs 560 at least"),
        ({"chat_roles": ["user"]}, "assistant is not among them"),
        ({"chat_roles": ["assistant"], "chat_template": False}, "for the ChatML template"),
        ({"template_file": "x.jinja", "chat_template": False}, "leave one of them out"),
        ({"vocab_size": 100}, "greater than or equal to 512"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=message):
        TrainTokenizer.model_validate(options)


def test_a_special_token_that_could_be_a_word_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="tool could be a word of a text"):
        run_job(TrainTokenizer(special_tokens=("tool",)), tmp_path, shards(corpus(5)))


TEMPLATE = (
    "{% for m in messages %}{% if m.role == 'assistant' %}<|bot|>{% generation %}{{ m.content | trim }}<|endoftext|>"
    "{% endgeneration %}{% else %}<|you|>{{ m.content | trim }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|bot|>{% endif %}"
)


def test_a_template_of_ones_own(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    file = tmp_path / "mine.jinja"
    file.write_text(TEMPLATE)
    train(tmp_path, template_file=str(file), special_tokens=["<|you|>", "<|bot|>"])
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "data", local_files_only=True)
    assert tokenizer.convert_tokens_to_ids(["<|you|>", "<|bot|>"]) == [2, 3]
    assert "<|im_end|>" not in tokenizer.get_vocab()
    chat = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "A cat."}]
    out = tokenizer.apply_chat_template(chat, return_assistant_tokens_mask=True, return_dict=True)
    marked = [id for id, mark in zip(out["input_ids"], out["assistant_masks"], strict=True) if mark]
    assert tokenizer.decode(marked) == "A cat.<|endoftext|>"


def test_a_template_that_cannot_be_used_stops_the_job_before_it_reads(tmp_path: Path) -> None:
    file = tmp_path / "mine.jinja"
    for content, message in (
        (TEMPLATE, r"<\|bot\|>, <\|you\|>"),
        ("{{ x", "mine.jinja:1: not a chat template"),
        (None, "No such file"),
    ):
        if content is None:
            file.unlink()
        else:
            file.write_text(content)
        with pytest.raises(InputError, match=message):
            train(tmp_path, template_file=str(file))


def test_the_template_refuses_other_roles_where_roles_are_given(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    train(tmp_path, chat_roles=["user", "assistant"])
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "data", local_files_only=True)
    assert tokenizer.apply_chat_template([{"role": "user", "content": "a"}], tokenize=False).startswith("<|im_start|>user\na")
    with pytest.raises(Exception, match="role asistant is none of those"):
        tokenizer.apply_chat_template([{"role": "asistant", "content": "a"}], tokenize=False)
