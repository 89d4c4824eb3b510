"""Small real parts: a tokenizer trained on the spot, token shards and rows made from the same text."""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"):
    os.environ[name] = "1"

TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>"
    "{% if m.role == 'assistant' %}{% generation %}{{ m.content }}<|end|>{% endgeneration %}"
    "{% else %}{{ m.content }}<|end|>{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
ANIMALS = ["cat", "dog", "cow", "hen", "fox", "owl", "bee", "ant"]
SOUNDS = ["meow", "woof", "moo", "cluck", "yip", "hoot", "buzz", "click"]


def documents(count: int, seed: int) -> list[str]:
    """Sentences with a pattern that a tiny model learns in a few dozen steps."""
    draw = random.Random(seed)
    return [
        " ".join(
            f"the {a} says {s} and then the {a} says {s} again."
            for a, s in draw.choices(list(zip(ANIMALS, SOUNDS, strict=True)), k=6)
        )
        for _ in range(count)
    ]


def pairs(count: int, seed: int) -> list[dict[str, Any]]:
    """Instruction rows with distinct ids."""
    draw = random.Random(seed)
    rows = []
    for i in range(count):
        k = draw.randrange(len(ANIMALS))
        rows.append(
            {
                "id": str(i),
                "instruction": f"what does the {ANIMALS[k]} say {i} times",
                "output": f"the {ANIMALS[k]} says {SOUNDS[k]}",
            }
        )
    return rows


def ranked(count: int, seed: int) -> list[dict[str, Any]]:
    """Prompts with three answers in order: polite ones are best, and those that say nothing but the sound worst."""
    draw = random.Random(seed)
    rows = []
    for i in range(count):
        k = draw.randrange(len(ANIMALS))
        said = [f"the {ANIMALS[k]} says {SOUNDS[k]} thanks", f"the {ANIMALS[k]} says {SOUNDS[k]}", f"{SOUNDS[k]} {SOUNDS[k]}"]
        answers = [{"answer": text, "rank": rank} for rank, text in enumerate(said, 1)]
        draw.shuffle(answers)
        rows.append({"instruction": f"what does the {ANIMALS[k]} say {i} times", "answers": answers})
    return rows


def write_jsonl(file: Path, rows: list[Any]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def write_tokenizer(folder: Path, template: str | None = TEMPLATE, **special: str) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokens = ["<|eos|>", "<|pad|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>"]
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(
        documents(50, 1),
        trainers.BpeTrainer(vocab_size=320, special_tokens=tokens, initial_alphabet=alphabet, show_progress=False),
    )
    chosen = {"eos_token": "<|eos|>", "pad_token": "<|pad|>", **special}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, additional_special_tokens=tokens[2:], **chosen)
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    return tokenizer


def write_shards(folder: Path, tokenizer: Any, splits: dict[str, list[list[str]]]) -> Path:
    """Shards as schemas/tokens.json describes them: for each split a list of shards, each a list of documents."""
    import numpy as np

    header: dict[str, Any] = {
        "format": "curate-tokens-1", "dtype": "uint16", "vocab_size": len(tokenizer), "eos_id": tokenizer.eos_token_id,
        "tokenizer": "tokenizer", "splits": {},
    }  # fmt: skip
    for split, shards in splits.items():
        entries = []
        for number, texts in enumerate(shards):
            ids = [[*tokenizer(text)["input_ids"], tokenizer.eos_token_id] for text in texts]
            flat = np.array([i for document in ids for i in document], "<u2").tobytes()
            name = f"{split}-{number}"
            (folder / f"{name}.bin").write_bytes(flat)
            np.cumsum([0, *map(len, ids)]).astype("<u8").tofile(folder / f"{name}.idx")
            size = sum(len(text.encode()) for text in texts)
            digest = hashlib.blake2b(flat, digest_size=16).hexdigest()
            counts = {"tokens": len(flat) // 2, "documents": len(ids), "bytes": size}
            entries.append({"file": name, **counts, "blake2b": digest})
        header["splits"][split] = entries
    (folder / "tokens.json").write_text(json.dumps(header), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two training shards and one for validation, with tokenizer/."""
    folder = tmp_path_factory.mktemp("shards")
    tokenizer = write_tokenizer(folder / "tokenizer")
    return write_shards(folder, tokenizer, {"train": [documents(60, 2), documents(41, 3)], "validation": [documents(8, 4)]})


@pytest.fixture(scope="session")
def tokenizer(shards: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(shards / "tokenizer")


@pytest.fixture
def recipe(shards: Path, tmp_path: Path) -> dict[str, Any]:
    """A recipe for a tiny model: 24 steps of pretraining."""
    return {
        "out": str(tmp_path / "out"),
        "threads": 1,
        "device": "cpu",
        "stages": [
            {
                "stage": "pretrain",
                "model": {"layers": 2, "width": 32, "heads": 2, "context": 64},
                "data": str(shards),
                "sequence": 32,
                "batch": {"sequences": 8},
                "steps": 24,
                "optimizer": {"lr": 1e-2},
            }
        ],
    }


@pytest.fixture(scope="session")
def base(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A pretrained model to tune."""
    from train.chain import run_chain
    from train.recipe import check_recipe
    from train.report import Reporter
    from train.stage import Interrupts

    out = tmp_path_factory.mktemp("base")
    stage = {
        "stage": "pretrain",
        "model": {"layers": 2, "width": 32, "heads": 2, "context": 64},
        "data": str(shards),
        "sequence": 32,
        "batch": {"sequences": 8},
        "steps": 30,
        "optimizer": {"lr": 1e-2},
    }
    content = {"out": str(out), "threads": 1, "device": "cpu", "stages": [stage]}
    run_chain(check_recipe(content, where="recipe"), Reporter(True, (out / "log").open("w")), Interrupts())
    return str(out / "pretrain" / "model")


@pytest.fixture(scope="session")
def speaker(base: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model that answers."""
    from train.chain import run_chain
    from train.recipe import check_recipe
    from train.report import Reporter
    from train.stage import Interrupts

    out = tmp_path_factory.mktemp("speaker")
    stage = {
        "stage": "sft", "model": base, "data": str(write_jsonl(out / "rows.jsonl", pairs(120, 5))),
        "max_length": 64, "batch": {"sequences": 8}, "optimizer": {"lr": 5e-3}, "steps": 25,
    }  # fmt: skip
    content = {"out": str(out), "threads": 1, "device": "cpu", "stages": [stage]}
    run_chain(check_recipe(content, where="recipe"), Reporter(True, (out / "log").open("w")), Interrupts())
    return str(out / "sft" / "model")


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Runs a recipe in this process and returns its summary; `events` collects what it says."""

    def start(content: dict[str, Any], events: list[dict[str, Any]] | None = None, **options: Any) -> dict[str, Any]:
        from train.chain import run_chain
        from train.recipe import check_recipe
        from train.report import Reporter
        from train.stage import Interrupts

        class Collect(Reporter):
            def emit(self, event: str, **fields: Any) -> None:
                if events is not None:
                    events.append({"event": event, **fields})

        interrupts = options.pop("interrupts", None) or Interrupts()
        return run_chain(check_recipe(content, where="recipe"), Collect(True), interrupts, **options)

    return start
