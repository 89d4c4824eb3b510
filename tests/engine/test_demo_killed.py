"""The demo itself, killed ten times: whoever runs it again gets what an unbroken run gives."""

from __future__ import annotations

import gzip
import hashlib
import random
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHORT = ("jobs.train.chain.stages.0.steps=120", "jobs.train.chain.stages.1.steps=40")
# Files that hold how long training took; what was trained is in the weights.
TIMES = {"metrics.jsonl", "summary.json", "report.md"}


def command(out: Path) -> list[str]:
    sets = [word for change in SHORT for word in ("--set", change)]
    return [sys.executable, "-m", "curate.cli", "run", str(ROOT / "recipes/quickstart.yaml"), "-o", str(out), "--quiet", *sets]


def digests(out: Path) -> dict[str, str]:
    kept = ("data", "dropped", "rejected")
    files = [p for p in out.rglob("*") if p.is_file() and p.relative_to(out).parts[1:2] and p.relative_to(out).parts[1] in kept]
    return {str(p.relative_to(out)): "" if p.name in TIMES else hashlib.sha256(content(p)).hexdigest() for p in sorted(files)}


def content(path: Path) -> bytes:
    """The bytes of a file; of a web archive all but when its pages were fetched."""
    if path.name.endswith(".warc.gz"):
        return re.sub(rb"(?m)^WARC-Date: [^\r\n]*", b"", gzip.decompress(path.read_bytes()))
    return path.read_bytes()


@pytest.mark.slow
def test_the_demo_killed_ten_times_gives_the_same_bytes(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    began = time.monotonic()
    subprocess.run(command(whole), check=True, cwd=ROOT, capture_output=True)
    # Each try gets, on average, a sixth of what is needed for all: kills fall into every part of the run.
    most = (time.monotonic() - began) / 3
    draw = random.Random(20261121)
    kills = 0
    while kills < 10:
        child = subprocess.Popen(command(broken), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            if child.wait(draw.uniform(0.5, most)) == 0:
                break
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            kills += 1
    assert kills >= 5
    subprocess.run(command(broken), check=True, cwd=ROOT, capture_output=True)
    expected = digests(whole)
    assert any(name.startswith("09-train/") and name.endswith(".safetensors") for name in expected)
    assert digests(broken) == expected
