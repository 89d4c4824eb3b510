"""What a run says: progress lines on stdout, metrics.jsonl, samples.jsonl, summary.json, report.md."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from train.boards import Boards

from train.measures import LANGUAGE, measures, side_by_side

__all__ = ["Metrics", "Reporter", "markdown", "write_atomic", "write_json"]


class Reporter:
    """Progress for a person (plain lines) or a program (`events`: one JSON object a line)."""

    def __init__(self, events: bool, stream: IO[str] | None = None) -> None:
        self.events = events
        self.stream = stream or sys.stdout
        self._last_step = 0.0

    def emit(self, event: str, **fields: Any) -> None:
        """Say `event` (start, step, eval, stage_done, done, warning, example, note). Steps are thinned out by time."""
        if event == "step":
            now = time.monotonic()
            if now - self._last_step < (0.5 if self.events else 5.0):
                return
            self._last_step = now
        line = json.dumps({"event": event, **fields}, ensure_ascii=False) if self.events else _plain(event, fields)
        if event == "example" and self.stream.isatty():
            line = re.sub("⟦.*?⟧", "\x1b[32m\\g<0>\x1b[0m", line, flags=re.DOTALL)  # green: what is trained on
        self.stream.write(line + "\n")
        self.stream.flush()


def _plain(event: str, fields: dict[str, Any]) -> str:
    if event in ("warning", "note", "example"):
        mark = {"warning": "warning: ", "note": "", "example": ""}[event]
        return f"{fields['name']}: {mark}{fields['message']}" if "name" in fields else f"{mark}{fields['message']}"
    out = [str(fields.get("name", "")), event.replace("_", " ")]
    for key, value in fields.items():
        if key in ("name", "stage", "progress") or value is None:
            continue
        if key == "step" and fields.get("steps"):
            out.append(f"{value}/{fields['steps']}")
        elif key == "steps" and "step" in fields:
            continue
        elif isinstance(value, float):
            out.append(
                f"{key.replace('_', ' ')} {value:,.4g}" if abs(value) < 1000 else f"{key.replace('_', ' ')} {value:,.0f}"
            )
        elif isinstance(value, int | str):
            out.append(f"{key.replace('_', ' ')} {value:,}" if isinstance(value, int) else f"{key.replace('_', ' ')} {value}")
    return "  ".join(part for part in out if part)


class Metrics:
    """metrics.jsonl: one line a step or evaluation. Opened at `step`, it forgets what was written after it.

    boards: who else is told; file None: nobody is, as in all processes of a run but one.
    """

    def __init__(self, file: Path | None, step: int, boards: Boards | None = None) -> None:
        kept = []
        self._stream: IO[str] | None = None
        self._boards = boards
        self.last: dict[str, Any] = {}
        """The last step that is kept, as it was written."""
        if file is None:
            return
        if step and file.exists():
            for line in file.read_text(encoding="utf-8").splitlines():
                try:
                    entry = json.loads(line)
                except ValueError:  # the last line of a run that was killed while writing it
                    break
                if entry["step"] <= step:
                    kept.append(line)
                    self.last = entry if "loss" in entry else self.last
        write_atomic(file, "".join(line + "\n" for line in kept))
        self._stream = file.open("a", encoding="utf-8")

    def write(self, **fields: Any) -> None:
        """Add one line."""
        if self._stream is not None:
            self._stream.write(json.dumps(fields, ensure_ascii=False) + "\n")
            self._stream.flush()
        if self._boards is not None:
            self._boards.write(fields)

    def close(self) -> None:
        """Close the file."""
        if self._stream is not None:
            self._stream.close()
        if self._boards is not None:
            self._boards.close()


def write_atomic(file: Path, text: str) -> None:
    """Write `text` to `file`, all of it or nothing."""
    fresh = file.with_name(f"{file.name}.tmp")
    with fresh.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    fresh.replace(file)


def write_json(file: Path, content: Any) -> None:
    """Write `content` as JSON to `file`, all of it or nothing."""
    write_atomic(file, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def markdown(stages: list[dict[str, Any]], samples: list[dict[str, Any]]) -> str:
    """report.md: the table of held-out losses, and the answers of each stage side by side."""
    lines = ["# Training", ""]
    spoken = [stage for stage in stages if stage["stage"] in LANGUAGE]
    if spoken:
        lines += [
            "Loss in nats per token, on data held out of training (supervised stages: on the tokens of the answers).",
            "",
            "| stage | loss before | loss after | bits/byte before | bits/byte after | tokens | tokens/s | seconds |",
            "|---|---:|---:|---:|---:|---:|---:|---:|",
        ]
    for stage in spoken:
        bits = [
            f"{stage[key]:.3f}" if stage.get(key) is not None else "" for key in ("bits_per_byte_before", "bits_per_byte_after")
        ]
        lines.append(
            f"| {stage['name']} | {stage['loss_before']:.4f} | {stage['loss_after']:.4f} | {bits[0]} | {bits[1]} "
            f"| {stage['tokens']:,} | {stage['tokens_per_second']:,.0f} | {stage['seconds']:.1f} |"
        )
    lines += measures(stages)
    dropped = [(s["name"], reason, n) for s in stages for reason, n in s.get("rows_dropped", {}).items() if n]
    if dropped:
        lines += ["", "| stage | rows dropped because | rows |", "|---|---|---:|"]
        lines += [f"| {name} | {reason} | {n:,} |" for name, reason, n in dropped]
    if samples:
        lines += ["", "## The same prompts after each stage", "", *side_by_side(samples)]
    return "\n".join(lines) + "\n"
