from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import InputError
from curate.io.bpe import SPLIT_PATTERNS
from curate.jobs.tokenizer import EOS, PAD, TrainTokenizer
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


@pytest.fixture(scope="module")
def bpe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bpe")
    train(folder)
    return folder / "data"


@pytest.fixture(scope="module")
def unigram(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unigram")
    train(folder, kind="unigram")
    return folder / "data"


def load(folder: Path):  # type: ignore[no-untyped-def]
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.encode_special_tokens = True
    return tokenizer


UNICODE = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@settings(max_examples=200)
@given(text=UNICODE)
def test_bpe_gives_back_every_text(bpe: Path, text: str) -> None:
    tokenizer = load(bpe)
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False).ids, skip_special_tokens=False) == text


@settings(max_examples=200)
@given(text=UNICODE)
def test_unigram_gives_back_every_text_but_for_its_own_sign_for_the_space(unigram: Path, text: str) -> None:
    tokenizer = load(unigram)
    decoded = tokenizer.decode(tokenizer.encode(text, add_special_tokens=False).ids, skip_special_tokens=False)
    assert decoded == text.replace("▁", " ")


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


def test_unigram_cuts_as_sentencepiece_does_up_to_ties(unigram: Path) -> None:
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_file=str(unigram / "tokenizer.model"))
    tokenizer = load(unigram)
    assert tokenizer.get_vocab_size() == processor.vocab_size()
    assert all(tokenizer.id_to_token(i) == processor.id_to_piece(i) for i in range(processor.vocab_size()))
    lines = [line for text in corpus(100) for line in text.split("\n")] + ["<unk> <0x0A> <|pad|> ▁ é ☃ \t x", ""]
    same = 0
    for line in lines:
        ours, theirs = tokenizer.encode(line, add_special_tokens=False).ids, processor.encode(line)
        same += ours == theirs
        assert sum(map(processor.get_score, ours)) == pytest.approx(sum(map(processor.get_score, theirs)), rel=1e-5)
    assert same > 0.9 * len(lines)


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_the_same_bytes_come_out_in_another_process_and_order(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    """Another process has other hash seeds; the shards are worked on in another order."""
    code = (
        "import sys; from pathlib import Path; from tests.jobs.test_tokenizer import *\n"
        "job = TrainTokenizer(vocab_size=700, kind=sys.argv[2])\n"
        "run_job(job, Path(sys.argv[1]), shards(corpus()), order=[2, 0, 1])"
    )
    env = {"PYTHONPATH": str(Path(__file__).parents[2]), "RAYON_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path), kind], check=True, env=env)
    folder: Path = request.getfixturevalue(kind)
    names = {path.name for path in folder.iterdir()}
    assert names == {"tokenizer.json", "tokenizer_config.json"} | ({"tokenizer.model"} if kind == "unigram" else set())
    for name in names:
        assert (tmp_path / "data" / name).read_bytes() == (folder / name).read_bytes(), name


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_special_tokens_come_first_and_their_letters_in_a_text_are_text(kind: str, request: pytest.FixtureRequest) -> None:
    tokenizer = load(request.getfixturevalue(kind))
    assert [tokenizer.token_to_id(token) for token in (EOS, PAD)] == [0, 1]
    turns = [tokenizer.token_to_id(token) for token in ("<|im_start|>", "<|im_end|>")]
    assert turns == ([2, 3] if kind == "bpe" else [3, 4])
    ids = tokenizer.encode(f"a{EOS}b{PAD}<|im_start|>", add_special_tokens=False).ids
    assert not {0, 1, *turns} & set(ids)
    assert tokenizer.decode(ids, skip_special_tokens=False) == f"a{EOS}b{PAD}<|im_start|>"
    tokenizer.encode_special_tokens = False
    assert tokenizer.encode(f"a{EOS}", add_special_tokens=False).ids[-1] == 0


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_transformers_loads_it_and_marks_what_the_assistant_says(kind: str, request: pytest.FixtureRequest) -> None:
    transformers = pytest.importorskip("transformers")
    folder = request.getfixturevalue(kind)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    assert (tokenizer.eos_token, tokenizer.pad_token, tokenizer.bos_token) == (EOS, PAD, None)
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id) == (0, 1)
    assert len(tokenizer) == load(folder).get_vocab_size()
    text = SENTENCES[1]
    assert tokenizer(text)["input_ids"] == load(folder).encode(text).ids
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


def test_the_sample_is_about_as_large_as_asked_and_the_rest_is_measured(tmp_path: Path) -> None:
    texts = corpus(2000)
    total = sum(len(text.encode()) for text in texts)
    job = TrainTokenizer(vocab_size=600, sample_bytes=total // 4)
    work = run_job(job, tmp_path, shards(texts))
    frame = pl.concat([pl.read_parquet(path) for path in sorted((tmp_path / "work").iterdir())])
    sample = frame.filter(~pl.col("held_out"))
    assert sample["text"].str.len_bytes().sum() == pytest.approx(total / 4, rel=0.15)
    assert sample.height + frame["held_out"].sum() == len(texts)
    result = work.results["train"][0]
    assert result["vocab_size"] == 600
    tokenizer = load(tmp_path / "data")
    for held_out, measured in ((False, result["bytes_per_token"]), (True, result["bytes_per_token_held_out"])):
        part = frame.filter(pl.col("held_out") == held_out)["text"].to_list()
        assert measured == sum(len(t.encode()) for t in part) / sum(len(tokenizer.encode(t).ids) for t in part)
    # Another seed draws another sample of the same size; the same seed the same, cut into other shards.
    again = run_job(job, tmp_path / "again", shards(texts, parts=7))
    assert again.results["train"] == work.results["train"]
    assert (tmp_path / "again/data/tokenizer.json").read_bytes() == (tmp_path / "data/tokenizer.json").read_bytes()
    run_job(job.model_copy(update={"seed": 1}), tmp_path / "other", shards(texts))
    other = pl.concat([pl.read_parquet(path) for path in sorted((tmp_path / "other/work").iterdir())])
    assert set(other.filter(~pl.col("held_out"))["text"]) != set(sample["text"])


def test_validation_rows_are_left_out_of_training_and_measured(tmp_path: Path) -> None:
    split = ["validation" if i % 10 == 0 else None if i % 2 else "train" for i in range(100)]
    texts = ["ж" * 20 + f" {i}" if i % 10 == 0 else "abc abc abd" for i in range(100)]
    work = run_job(TrainTokenizer(vocab_size=512), tmp_path, [[rows(texts, split=split)]])
    assert "жж" not in "".join(load(tmp_path / "data").get_vocab())
    assert load(tmp_path / "data").token_to_id("abc") is not None
    result = work.results["train"][0]
    assert result["bytes_per_token_held_out"] == pytest.approx(1, rel=0.1)
    assert any("nothing more to merge" in line for line in work.said)


def test_a_piece_of_the_validation_split_alone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no text to train on"):
        run_job(TrainTokenizer(), tmp_path, [[rows(["abc"], split=["validation"])]])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"special_tokens": [PAD]}, "there already"),
        ({"special_tokens": [""]}, "empty"),
        ({"special_tokens": ["<|a b|>"]}, "a space"),
        ({"kind": "unigram", "split_pattern": "gpt2"}, "for kind bpe"),
        ({"vocab_size": 100}, "greater than or equal to 512"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=message):
        TrainTokenizer.model_validate(options)


def test_the_template_keeps_generation_tags_around_the_end_of_the_turn() -> None:
    marked = CHAT_TEMPLATE.split("{%- generation -%}")[1].split("{%- endgeneration -%}")[0]
    assert "<|im_end|>" in marked
