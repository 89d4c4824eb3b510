"""What each stage is judged by, as tables in Markdown."""

from __future__ import annotations

from typing import Any

__all__ = ["LANGUAGE", "measures", "side_by_side"]

LANGUAGE = ("pretrain", "sft")
"""Stages whose loss is in nats per token of language."""


def measures(stages: list[dict[str, Any]]) -> list[str]:
    """Lines of report.md: own measures before and after, accuracy of reward models by length, models side by side."""
    lines: list[str] = []
    judged = [(stage, _measure(stage)) for stage in stages if "measure" in stage or stage["stage"] in LANGUAGE]
    if judged:
        lines += ["", "## What each stage is judged by", "", "| stage | measure | before | after | KL, nats an answer |"]
        lines.append("|---|---|---:|---:|---:|")
        for stage, measure in judged:
            kl = f"{stage['kl']:.3f}" if "kl" in stage else ""
            lines.append(
                f"| {stage['name']} | {measure['name']} ({measure['better']} is better) "
                f"| {measure['before']:.4f} | {measure['after']:.4f} | {kl} |"
            )
    for stage in stages:
        if "accuracy_by_length" in stage:
            lines += _reward(stage)
        if "compared" in stage:
            lines += _compared(stage)
    return lines


def _measure(stage: dict[str, Any]) -> dict[str, Any]:
    if "measure" in stage:
        measure: dict[str, Any] = stage["measure"]
        return measure
    return {"name": "held-out loss", "before": stage["loss_before"], "after": stage["loss_after"], "better": "lower"}


def _reward(stage: dict[str, Any]) -> list[str]:
    lines = [
        "",
        f"## Reward model `{stage['name']}` on held-out rankings",
        "",
        f"{stage['pairs_heldout']:,} pairs; calibration error {stage['calibration_error']:.3f}; scores "
        f"{stage['score_mean']:.2f} ± {stage['score_std']:.2f}; correlation of score and length within a prompt "
        f"{stage['length_correlation']:+.2f}.",
        "",
        "| length of the better answer over the worse | pairs | accuracy |",
        "|---|---:|---:|",
    ]
    return lines + [
        f"| {name} | {part['pairs']:,} | {part['accuracy']:.3f} |" for name, part in stage["accuracy_by_length"].items()
    ]


def _compared(stage: dict[str, Any]) -> list[str]:
    first = stage["compared"][0]["model"]
    lines = [
        "",
        f"## Models side by side: `{stage['name']}`",
        "",
        f"{stage['prompts']:,} prompts; win rate against `{first}` on the same prompts (95 % interval; a tie is half).",
        "",
        "| model | mean reward | win rate | interval | ended | tokens an answer | held-out loss | bits/byte |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for one in stage["compared"]:
        won = f"{one['win_rate']:.3f} | {one['interval'][0]:.3f} to {one['interval'][1]:.3f}" if "win_rate" in one else " | "
        loss = f"{one['loss']:.4f}" if one.get("loss") is not None else ""
        bits = f"{one['bits_per_byte']:.3f}" if one.get("bits_per_byte") is not None else ""
        lines.append(
            f"| {one['model']} | {one['reward']:.4f} | {won} | {one['ended']:.2f} | {one['length']:.1f} | {loss} | {bits} |"
        )
    tasks = sorted({task for one in stage["compared"] for task in one.get("lm_eval", {})})
    if tasks:
        lines += ["", f"| lm-eval | {' | '.join(one['model'] for one in stage['compared'])} |"]
        lines.append("|---" * (len(stage["compared"]) + 1) + "|")
        for task in tasks:
            lines.append(f"| {task} | {' | '.join(str(one['lm_eval'].get(task, '')) for one in stage['compared'])} |")
    if stage["samples"]:
        lines += ["", *side_by_side(stage["samples"])]
    return lines


def side_by_side(samples: list[dict[str, Any]]) -> list[str]:
    """A table of prompts, and what each model answers."""
    names = list(samples[0]["answers"])
    lines = [f"| prompt | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    lines += [f"| {_cell(s['prompt'])} | {' | '.join(_cell(s['answers'][name]) for name in names)} |" for s in samples]
    return lines


def _cell(text: str) -> str:
    """Any text as one cell of a table: model output is data, so nothing of it may act as Markdown."""
    safe = text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "&#124;").replace("`", "&#96;")
    return "<code>" + safe.replace("\r", "").replace("\n", "<br>") + "</code>"
