"""Models that make vectors, and what is wrong with vectors and models: one line each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from curate.engine.chain import run_command
from curate.errors import CurateError, InputError
from curate.jobs.dedupe import Dedupe
from curate.models import embedder as models
from curate.models.embedder import embedder
from curate.models.safetensors import read_safetensors
from curate.report.watch import Silent
from tests.grouping.corpora import dedupe
from tests.grouping.embeddings import static_model, word_tokenizer, write_safetensors

WORDS = {"cat": [1.0, 0.5], "dog": [0.5, 1.0], "sun": [-1.0, 0.0]}


def test_a_static_vector_has_the_direction_of_the_mean_of_the_tokens(tmp_path: Path) -> None:
    embed = embedder(str(static_model(tmp_path, WORDS)))
    found = embed(["cat Dog", "unknown cat unknown", "", "unknown", "sun cat dog"])
    assert found.tolist() == [[1.5, 1.5], [1.0, 0.5], [0.0, 0.0], [0.0, 0.0], [0.5, 1.5]]


def test_mapping_and_weights_of_tokens(tmp_path: Path) -> None:
    word_tokenizer(tmp_path, ["cat", "dog", "sun"])
    tensors = {
        "embeddings": np.array([[1, 0], [0, 1]], np.float16),
        "mapping": np.array([0, 0, 1, 0]),
        "weights": np.array([1.0, 1.0, 2.0, 0.5]),
    }
    write_safetensors(tmp_path / "model.safetensors", tensors)
    assert embedder(str(tmp_path))(["cat dog sun"]).tolist() == [[1.5, 2.0]]


def test_long_texts_are_cut_without_a_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embed = embedder(str(static_model(tmp_path, WORDS)))
    texts = ["cat dog\nsun " * 50, "cat", "", "dog " * 7]
    whole = embed(texts).tolist()
    monkeypatch.setattr(models, "PIECE", 9)
    monkeypatch.setattr(models, "PIECES", 20)
    assert embed(texts).tolist() == whole
    # A word longer than a piece is cut anywhere; nothing is lost or comes twice.
    assert [len("".join(pieces)) for _, pieces in models._pieces(["x" * 25, "ab cd efgh ijkl"])] == [25, 15]


def test_a_transformer_gives_the_mean_of_its_states(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    vocabulary = word_tokenizer(tmp_path, [*WORDS])
    config = transformers.BertConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=8,
    )  # fmt: skip
    torch.manual_seed(1)
    model = transformers.BertModel(config).eval()
    model.save_pretrained(tmp_path)
    transformers.PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "tokenizer.json"), unk_token="[UNK]").save_pretrained(
        tmp_path
    )
    found = embedder(str(tmp_path))(["cat dog", "", "sun " * 20, "cat dog"])
    with torch.inference_mode():
        states = [model(torch.tensor([ids])).last_hidden_state[0].mean(0) for ids in ([1, 2], [3] * 8)]
    assert np.allclose(found[0], states[0].numpy(), atol=1e-5)
    assert np.allclose(found[2], states[1].numpy(), atol=1e-5)
    assert not found[1].any()
    assert found[3].tolist() == found[0].tolist()
    rows = [{"id": str(i), "text": text} for i, text in enumerate(["cat dog", "", "CAT dog", "sun", ""])]
    kept, _ = dedupe(tmp_path / "run", rows, methods=["semantic"], embedding_model=str(tmp_path), semantic_threshold=0.99999)
    assert [row["id"] for row in kept] == ["0", "1", "3", "4"]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"id": "a", "text": "x"}], "row a: has no 'v', and embedding_column asks for one in every row"),
        ([{"id": "a", "text": "x", "v": [1]}, {"id": "b", "text": "y", "v": None}], "row b: has no 'v'"),
        ([{"id": "a", "text": "x", "v": [1]}, {"id": "b", "text": "y", "v": [1, 2]}], "row b: 'v' holds 2 numbers, in row a 1"),
        ([{"id": "a", "text": "x", "v": [1]}, {"id": "b", "text": "y", "v": "far"}], "row b: 'v' is far, no list of numbers"),
        ([{"id": "a", "text": "x", "v": {"x": 1}}], "row a: 'v' is {\"x\": 1}, no list of numbers"),
        ([{"id": "a", "text": "x", "v": [1, "2"]}], "no list of numbers"),
        ([{"id": "a", "text": "x", "v": [1, None]}], "row a: 'v' holds a value that is no finite number"),
        ([{"id": "a", "text": "x", "v": [0, 0.0]}], "row a: 'v' holds zeros alone, which has no direction"),
        ([{"id": "a", "text": "x", "v": []}], "row a: 'v' holds 0 numbers, not 1 to 32768"),
    ],
)
def test_a_vector_that_is_none_is_told(tmp_path: Path, rows: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(InputError) as error:
        dedupe(tmp_path, rows, methods=["semantic"], embedding_column="v")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_columns_of_parquet_that_hold_no_vectors(tmp_path: Path) -> None:
    columns = {"lists of nan": [[1.0, float("nan")]], "numbers": [1.5], "lists of words": [["a"]]}
    for name, values in columns.items():
        pl.DataFrame({"id": ["a"], "text": ["x"], "v": values}).write_parquet(tmp_path / f"{name}.parquet")
        job = Dedupe(input=(str(tmp_path / f"{name}.parquet"),), methods=("semantic",), embedding_column="v")
        said = "row a: 'v' holds a value" if "nan" in name else r"column 'v' holds .*not lists of numbers"
        with pytest.raises(InputError, match=said):
            run_command(job, str(tmp_path / name), workers=1, watcher=Silent())


def test_vectors_of_two_files_that_do_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from curate.io import files

    monkeypatch.setattr(files, "SHARD_BYTES", 100)
    rows = [{"id": str(i), "text": "x" * 60, "v": [1.0] * (2 + i // 3)} for i in range(4)]
    with pytest.raises(InputError, match=r"row 3: .*3 numbers, .*row [0-2].* 2"):
        dedupe(tmp_path, rows, methods=["semantic"], embedding_column="v")


def test_a_model_that_is_none_is_told(tmp_path: Path) -> None:
    good = static_model(tmp_path / "good", WORDS)
    cases: dict[str, str] = {}

    def case(name: str, said: str, **files: bytes | None) -> None:
        folder = tmp_path / name
        folder.mkdir()
        for path in good.iterdir():
            content = files.get(path.stem, path.read_bytes())
            if content is not None:
                (folder / path.name).write_bytes(content)
        cases[name] = said

    case("no-weights", "no-weights/model.safetensors: no such file", model=None)
    case("no-tokenizer", "no-tokenizer/tokenizer.json: no such file", tokenizer=None)
    case("broken", "not a safetensors file, or damaged", model=b"what is this")
    case(
        "cut",
        "not a safetensors file, or damaged: tensor 'embeddings' is cut off",
        model=(good / "model.safetensors").read_bytes()[:-1],
    )
    case("json", "tokenizer.json: not a tokenizer", tokenizer=b"{}")
    write_safetensors(tmp_path / "other", {"layer": np.zeros((2, 2), np.float32)})
    case("layers", "holds no tensor 'embeddings' (but layer), and no config.json", model=(tmp_path / "other").read_bytes())
    write_safetensors(tmp_path / "other", {"embeddings": np.zeros((2, 2), np.float32)})
    case("few", "tokenizer.json has 4 tokens, model.safetensors vectors for fewer", model=(tmp_path / "other").read_bytes())
    cases["nowhere"] = "nowhere: no such folder"
    for name, said in cases.items():
        with pytest.raises(CurateError) as error:
            dedupe(tmp_path / "run", [{"text": "x"}], methods=["semantic"], embedding_model=str(tmp_path / name))
        assert said in str(error.value)
        assert "\n" not in str(error.value)


def test_safetensors_as_the_library_writes_them(tmp_path: Path) -> None:
    library = pytest.importorskip("safetensors.numpy")
    draw = np.random.default_rng(0)
    given = {"a": draw.normal(size=(3, 4)).astype(np.float32), "b": np.arange(5), "c": np.zeros((0, 2), np.float16)}
    library.save_file(given, tmp_path / "x.safetensors", metadata={"format": "np"})
    found = read_safetensors(tmp_path / "x.safetensors")
    assert found.keys() == given.keys()
    assert all(np.array_equal(found[name], given[name]) and found[name].dtype == given[name].dtype for name in given)
