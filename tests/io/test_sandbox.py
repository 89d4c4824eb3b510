"""The sandbox: whatever a document does to the process that works on it, the others are answered."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from curate.errors import WorkerError
from curate.io.sandbox import MESSAGE_BYTES, Answer, Sandbox, sandbox
from tests.command import environment
from tests.io.misbehaving import broken, make

MEMORY = 128 << 20


@pytest.fixture
def box() -> Iterator[Sandbox]:
    box = Sandbox(make, json.dumps({"prefix": ">"}), 0.5, MEMORY)
    yield box
    box.close()


def run(box: Sandbox, *documents: bytes | None) -> list[Answer]:
    return list(box.run([(document,) for document in documents]))


def test_documents_are_answered_in_order(box: Sandbox) -> None:
    large = os.urandom(1000) * (2 * MESSAGE_BYTES // 1000)
    documents = [(b"one", None), (large, b"second"), (b"", b""), (None, None), *((b"%d" % i, b"n") for i in range(2000))]
    answers = list(box.run(documents))
    assert [answer.trouble for answer in answers] == [None] * len(documents)
    wanted = [(b">" + (first or b"nothing"), None, second) for first, second in documents]
    assert [answer.fields for answer in answers] == wanted
    assert list(box.run([])) == []


@pytest.mark.parametrize(
    ("document", "trouble", "detail"),
    [
        (b"loop", "timed_out", "more than 0.5 s of processor time"),
        (b"abort", "crashed", "SIGABRT"),
        (b"segfault", "crashed", "SIGSEGV"),
        (b"exit", "crashed", "exit code 7"),
        (b"recursion", "crashed", "RecursionError: maximum recursion depth exceeded"),
        (b"memory", "out_of_memory", "more than 134,217,728 bytes"),
        (b"touch", "out_of_memory", "more than 134,217,728 bytes"),
        (b"denied", "out_of_memory", "more than 134,217,728 bytes"),
    ],
)
def test_one_that_goes_wrong_is_told_and_the_others_are_answered(
    box: Sandbox, document: bytes, trouble: str, detail: str
) -> None:
    first, *between, again, last = run(box, document, b"a", b"b", document, b"print")
    assert (first.trouble, first.fields) == (trouble, ())
    assert first.detail.startswith(detail)
    assert [answer.fields[0] for answer in between] == [b">a", b">b"]
    assert again == first
    assert last.fields[0] == b">print"


def test_one_that_waits_is_ended_by_the_clock() -> None:
    box = Sandbox(make, "{}", 0.05, MEMORY)
    slept, after = run(box, b"sleep", b"a")
    assert (slept.trouble, slept.detail) == ("timed_out", "more than 0.5 s")
    assert after.fields[0] == b"a"
    box.close()


def test_a_verdict_does_not_depend_on_the_documents_before(box: Sandbox) -> None:
    answers = run(box, b"a", b"again", b"again", b"count")
    assert [answer.trouble for answer in answers] == [None] * 4
    assert answers[-1].fields == (b"2",), "the one that answered the second `again` went on"


def test_a_child_goes_on_from_call_to_call(box: Sandbox) -> None:
    assert [run(box, b"count")[0].fields for _ in range(3)] == [(b"1",), (b"2",), (b"3",)]
    assert sandbox(make, "{}", 1.0, MEMORY) is sandbox(make, "{}", 1.0, MEMORY)


def test_answers_that_are_not_taken_are_not_given_to_others(box: Sandbox) -> None:
    for _ in box.run([(b"a",), (b"b",), (b"c",)]):
        break
    assert run(box, b"d")[0].fields[0] == b">d"


def test_threads_share_it(box: Sandbox) -> None:
    def work(thread: int) -> bool:
        documents = [b"%d %d" % (thread, i) for i in range(300)] + [b"abort"]
        answers = run(box, *documents)
        return [a.fields[0] for a in answers[:-1]] == [b">" + d for d in documents[:-1]] and answers[-1].trouble == "crashed"

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(8)))


def test_work_that_cannot_start_says_why() -> None:
    with pytest.raises(WorkerError, match=r"did not start: ImportError: no such library"):
        run(Sandbox(broken, "{}", 1.0, MEMORY), b"a")


def children(pid: int) -> list[int]:
    return [int(found) for found in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("document", ["a", "loop"])
def test_a_child_ends_with_its_parent(document: str) -> None:
    code = (
        "import sys\nfrom curate.io.sandbox import Sandbox\nfrom tests.io.misbehaving import make\n"
        f"box = Sandbox(make, '{{}}', 1.0, {MEMORY})\nlist(box.run([(b'a',)]))\nprint('up', flush=True)\n"
        f"list(box.run([(b'{document}',)]))\nsys.stdin.read()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(), text=True
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == "up\n"
    (child,) = children(parent.pid)
    (copy,) = children(child)
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    deadline = time.monotonic() + 20
    while lives(child) or lives(copy):
        assert time.monotonic() < deadline, "the child lives on"
        time.sleep(0.02)


def lives(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
