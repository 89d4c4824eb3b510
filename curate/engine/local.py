"""The engine of one machine: tasks in this process, over threads of it, or over worker processes. Order of results is order
of tasks.

Threads do for steps that release the GIL, and start at once; a worker process takes 0.9 s of CPU to start (imports, kernels
loaded), as much as cleaning 100 MB.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import multiprocessing
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from curate.engine.rows import Report, Say
from curate.engine.worker import Task, run_task
from curate.errors import WorkerError

__all__ = ["run_tasks"]

Done = Callable[[int, dict[str, Any]], None]
"""Called with a task's number and its result as it is done."""

Submit = Callable[[Task], Future[dict[str, Any]]]

MOST_THREADS = 4
"""With more workers processes do better: the Python between the kernels, which holds the GIL, is 4 % of the work."""


def run_tasks(tasks: Sequence[Task], workers: int, report: Report, say: Say, done: Done, *, threads: bool = False) -> None:
    """Run all tasks. With one worker or one task: in this process, one after another.

    threads: the tasks release the GIL nearly all the time, so that up to MOST_THREADS of them may share this process.
    Raises what a task raises (the first by time; running ones are stopped, finished ones stay marked done), WorkerError when
    a worker process is killed. On KeyboardInterrupt the workers are stopped at once: what they had not finished is done again.
    """
    if workers <= 1 or len(tasks) <= 1:
        for number, task in enumerate(tasks):
            done(number, run_task(task, report, say))
        return
    count = min(workers, len(tasks))
    if threads and count <= MOST_THREADS:
        _run_threads(tasks, count, report, say, done)
    else:
        _run_processes(tasks, count, report, say, done)


def _run_processes(tasks: Sequence[Task], count: int, report: Report, say: Say, done: Done) -> None:
    context = multiprocessing.get_context("spawn")
    events = context.SimpleQueue()
    with _environment(count):
        pool = ProcessPoolExecutor(count, context, initializer=_start, initargs=(events, os.getpid()))
        try:
            _run(lambda task: _submit(pool, task), tasks, count, events, report, say, done)
        except BaseException:
            _stop(pool)
            raise
        pool.shutdown()


def _load() -> None:
    """Import what every row goes through, and keep the garbage collector off it: it took 0.2 s of CPU, to find nothing."""
    gc.disable()
    try:
        import polars  # noqa: F401

        from curate.kernels import json_lines, json_write  # noqa: F401
    finally:
        gc.freeze()
        gc.enable()


class _Stopped(Exception):
    """Ends the task of a thread whose run is over: a thread cannot be killed."""


def _run_threads(tasks: Sequence[Task], count: int, report: Report, say: Say, done: Done) -> None:
    events: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()
    stopped = threading.Event()

    def tell(*content: Any) -> None:
        # After every few MB of input, so that what runs ends soon.
        if stopped.is_set():
            raise _Stopped
        events.put(("report", *content))

    def pass_on(message: str, passing: bool = False) -> None:
        events.put(("say", message, passing))

    _load()
    with ThreadPoolExecutor(count) as pool:
        try:
            _run(lambda task: pool.submit(run_task, task, tell, pass_on), tasks, count, events, report, say, done)
        except BaseException:
            stopped.set()
            pool.shutdown(cancel_futures=True)
            raise


def _run(submit: Submit, tasks: Sequence[Task], count: int, events: Any, report: Report, say: Say, done: Done) -> None:
    waiting = iter(enumerate(tasks))
    running: dict[Future[dict[str, Any]], int] = {}
    # Two tasks a worker are handed out at a time: a hundred thousand futures would only take memory.
    for number, task in _some(waiting, 2 * count):
        running[submit(task)] = number
    while running:
        finished, _ = wait(running, timeout=0.1, return_when=FIRST_COMPLETED)
        while not events.empty():
            kind, *content = events.get()
            report(*content) if kind == "report" else say(*content)
        for future in finished:
            number = running.pop(future)
            try:
                result = future.result()
            except BrokenProcessPool as error:
                raise WorkerError(
                    "a worker process was killed (most often: out of memory). Finished parts are kept: run the same command "
                    "again to go on, with fewer --workers if memory was short"
                ) from error
            done(number, result)
            for following, task in _some(waiting, 1):
                running[submit(task)] = following


def _submit(pool: ProcessPoolExecutor, task: Task) -> Future[dict[str, Any]]:
    """Hand out a task. Workers are started by this, and inherit that Ctrl-C is kept from them: it is the parent's business."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return pool.submit(_work, task)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _some(tasks: Iterator[tuple[int, Task]], count: int) -> Iterator[tuple[int, Task]]:
    for _ in range(count):
        item = next(tasks, None)
        if item is not None:
            yield item


def _stop(pool: ProcessPoolExecutor) -> None:
    processes = list((getattr(pool, "_processes", None) or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    for process in processes:
        process.join(5)


@contextlib.contextmanager
def _environment(workers: int) -> Iterator[None]:
    """Threads of the libraries in each worker: the cores are shared out, not taken by every worker whole."""
    threads = str(max(1, (os.cpu_count() or 1) // workers))
    names = ("POLARS_MAX_THREADS", "RAYON_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update({name: threads for name in names if before[name] is None})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)


_events: Any = None


def _start(events: Any, parent: int) -> None:
    """Set up a worker: it must not outlive a parent that is killed."""
    global _events
    _events = events
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def _work(task: Task) -> dict[str, Any]:
    def report(rows: int, bytes: int, kept: int) -> None:
        _events.put(("report", rows, bytes, kept))

    def say(message: str, passing: bool = False) -> None:
        _events.put(("say", message, passing))

    return run_task(task, report, say)
