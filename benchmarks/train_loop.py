"""`python -m benchmarks.train_loop FOLDER [--steps N] [--runs N] [...]`: our pretraining loop beside transformers' Trainer.

One process, the same new model, the same rows of the token shards in FOLDER in the same order, AdamW with the same constant
rate, on the CPU. Each measured whole, from the first step to the last, in turn, best of some runs. What is printed as loss is
that of the last steps: it must be the same on both sides, or the two did not do the same work. Where other programs run, the
time of the CPU is the better measure.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

LAST = 10
"""Steps of which the loss is compared."""


def main() -> None:
    """Measure and print tokens a second of both and their ratio."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.train_loop", description=__doc__)
    parser.add_argument("folder", type=Path, help="token shards of text that is not packed, as `curate tokenize` writes them")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--sequence", type=int, default=128)
    parser.add_argument("--rows", type=int, default=4, help="rows of a step")
    parser.add_argument("--micro", type=int, default=4, help="rows computed at once")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    options = parser.parse_args()
    if options.steps % LAST:
        parser.error(f"--steps must be a multiple of {LAST}, so that both sides tell the loss of the same steps")

    from train.__main__ import _quiet

    _quiet()
    import torch

    torch.set_num_threads(options.threads)
    ways: dict[str, Callable[[argparse.Namespace, str], tuple[float, float, float]]] = {"Trainer": _theirs, "ours": _ours}
    best = dict.fromkeys(ways, float("inf"))
    busy = dict.fromkeys(ways, float("inf"))
    losses: dict[str, float] = {}
    tokens = options.steps * options.rows * options.sequence
    for _ in range(options.runs):
        for name, way in ways.items():
            with tempfile.TemporaryDirectory(prefix="train-loop-") as out:
                wall, cpu, losses[name] = way(options, out)
            best[name], busy[name] = min(best[name], wall), min(busy[name], cpu)
    for name, seconds in best.items():
        sys.stdout.write(
            f"{name:8} {tokens / seconds:10,.0f} tokens/s, {busy[name]:.2f} s of CPU, "
            f"loss of the last {LAST} steps {losses[name]:.4f}\n"
        )
    speed, cpu = (of["Trainer"] / of["ours"] for of in (best, busy))
    sys.stdout.write(f"ours to Trainer: {speed:.2f} times the tokens/s, by the time of the CPU {cpu:.2f}\n")


def _recipe(options: argparse.Namespace, out: str) -> dict[str, Any]:
    model = {"layers": options.layers, "width": options.width, "heads": options.width // 32, "context": options.sequence}
    stage = {
        "stage": "pretrain",
        "model": model,
        "data": str(options.folder),
        "sequence": options.sequence,
        "batch": {"sequences": options.rows, "micro": options.micro},
        "steps": options.steps,
        "precision": options.precision,
        "eval": {"sequences": 1},
        "save": {"every": 0},
        "optimizer": {"lr": 1e-3, "schedule": "constant", "warmup": 0},
    }
    return {"out": out, "threads": options.threads, "device": "cpu", "stages": [stage]}


def _timed(train: Callable[[], object]) -> tuple[float, float]:
    """Seconds of the clock and of the CPU that `train` takes."""
    clock, cpu = time.perf_counter(), time.process_time()
    train()
    return time.perf_counter() - clock, time.process_time() - cpu


def _ours(options: argparse.Namespace, out: str) -> tuple[float, float, float]:
    """Seconds of the loop, of the clock and of the CPU, and the loss of its last steps."""
    import json
    import os

    from train import model as models
    from train.config import Architecture, PretrainStage
    from train.data import open_shards
    from train.device import open_device
    from train.loop import Trainer
    from train.pretrain import _task
    from train.recipe import check_recipe
    from train.report import Reporter
    from train.stage import Context, Interrupts

    recipe = check_recipe(_recipe(options, out), where="benchmark")
    stage = recipe.stages[0]
    assert isinstance(stage, PretrainStage)
    assert isinstance(stage.model, Architecture)
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        report, device = Reporter(True, nowhere), open_device("cpu", options.threads)
        context = Context(recipe, "pretrain", Path(out), None, "benchmark", device, report, Interrupts(), False)
        shards = open_shards(stage.data)
        tokenizer = models.load_tokenizer(shards.tokenizer)
        task = _task(stage, context, shards, tokenizer)
        model = models.build(stage.model, shards.vocab_size, tokenizer, recipe.seed).train()
        trainer = Trainer(stage, context, task, model, options.micro)
        wall, cpu = _timed(lambda: trainer.train(lambda _: None))
    lines = (Path(out) / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    losses = [json.loads(line)["loss"] for line in lines[-LAST:]]
    return wall, cpu, sum(losses) / len(losses)


def _theirs(options: argparse.Namespace, out: str) -> tuple[float, float, float]:
    """Seconds of `Trainer.train`, of the clock and of the CPU, and the loss of its last steps."""
    import torch
    from transformers import Trainer, TrainingArguments

    from train import model as models
    from train.config import Architecture
    from train.data import Rows, open_shards

    shards = open_shards(options.folder)
    tokenizer = models.load_tokenizer(shards.tokenizer)
    rows = Rows(shards.split("train", options.sequence + 1), options.sequence, shards.vocab_size, 0)
    shape = Architecture(**_recipe(options, out)["stages"][0]["model"])
    model = models.build(shape, shards.vocab_size, tokenizer, 0)
    order = rows._permutation(0)

    class Dataset(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
        def __len__(self) -> int:
            return rows.count

        def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
            batch = rows.take([int(order[index])])
            inputs, targets = torch.from_numpy(batch.inputs[0]), torch.from_numpy(batch.targets[0])
            # Targets that are shifted already, so that both sides train on the same tokens.
            return {"input_ids": inputs, "labels": targets, "shift_labels": targets}

    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=out,
            max_steps=options.steps,
            per_device_train_batch_size=options.micro,
            gradient_accumulation_steps=options.rows // options.micro,
            learning_rate=1e-3,
            lr_scheduler_type="constant",
            weight_decay=0.1,
            adam_beta2=0.95,
            max_grad_norm=1.0,
            optim="adamw_torch_fused",
            train_sampling_strategy="sequential",
            remove_unused_columns=False,
            logging_steps=LAST,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
            bf16=options.precision == "bfloat16",
            dataloader_pin_memory=False,
        ),
        train_dataset=Dataset(),
    )
    trainer.pop_callback(_printer())
    wall, cpu = _timed(trainer.train)
    return wall, cpu, float(next(line["loss"] for line in reversed(trainer.state.log_history) if "loss" in line))


def _printer() -> Any:
    from transformers import PrinterCallback

    return PrinterCallback


if __name__ == "__main__":
    main()
