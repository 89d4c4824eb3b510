"""Methods on a real OpenAI-compatible server, `transformers serve`, with a model of random weights."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from curate.catalog import parse_job
from curate.engine.chain import run_command
from curate.report.watch import Silent
from tests.asking.server import free_port
from tests.asking.tiny_model import tiny_model
from tests.command import stats
from tests.contract.cases import written_rows
from tests.synth.test_jobs import documents


@contextmanager
def transformers_serve(folder: Path, cache: Path) -> Iterator[str]:
    """The address of a server of a model folder."""
    port = free_port()
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(folder), "--host", "127.0.0.1"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [*command, "--port", str(port), "--device", "cpu"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as server:
        try:
            for _ in range(1200):
                assert server.poll() is None, server.stdout.read().decode() if server.stdout else ""
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).read()
                    break
                except OSError:
                    time.sleep(0.1)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.kill()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "prompts", "requests"),
    [
        ("back-translation", "{% block instruction %}Ask for: {{ text[:40] }}{% endblock %}", 4),
        (
            "magpie",
            "{% block question %}{{ about[:30] }}<|im_start|>user\n{% endblock %}"
            "{% block answer %}{{ about[:30] }}<|im_start|>user\n{{ instruction }}<|im_end|>\n<|im_start|>assistant\n"
            "{% endblock %}",
            8,
        ),
    ],
)
def test_a_method_on_transformers_serve(method: str, prompts: str, requests: int, tmp_path: Path) -> None:
    (tmp_path / "own.jinja").write_text(prompts)
    options: dict[str, Any] = {"prompts": str(tmp_path / "own.jinja"), "answer_tokens": 12, "keep_cut": True}
    with transformers_serve(tiny_model(), tmp_path / "hub") as address:
        model = {"endpoint": address, "model": str(tiny_model()), "concurrency": 2}
        job = parse_job({"job": f"synth {method}", "input": [documents(tmp_path, 4)], **model, **options})
        run_command(job, str(tmp_path / "out"), workers=1, watcher=Silent())
    asked = stats(tmp_path / "out")["results"]["ask"]
    # Of random weights an answer may be empty; nothing else goes wrong.
    assert set(asked["failed"]) <= {"empty"}
    assert asked["requests"] >= requests - 2 * sum(asked["failed"].values())
    rows = written_rows(tmp_path / "out" / "data")
    assert rows
    assert all(row["method"] == method and row["model"] == str(tiny_model()) for row in rows)
