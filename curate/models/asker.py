"""Asks many requests of one backend: cache, concurrency, retries and limits, for whoever has an iterable of requests.

Requests go from the caller's thread to a thread with an event loop, and come back through a queue, so that answers are read
and kept while the caller works on earlier ones.
"""

from __future__ import annotations

import asyncio
import queue
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from itertools import islice
from types import TracebackType
from typing import Self

from curate.models.ask import Answer, Ask, Failed, key_of
from curate.models.backend import Backend, Postponed
from curate.models.cache import Cache
from curate.models.limits import Limits, Reserved, Stopped, counted
from curate.models.progress import Progress
from curate.models.retry import GIVE_UP_AFTER, PATIENCE, TRIES, Pace, pause_before

__all__ = ["Asker", "Limits", "Progress", "Stopped", "usable"]

AHEAD = 256
"""Most requests that are looked up in the cache at once."""

SHOW_EVERY = 0.5


@dataclass(eq=False)
class _Call:
    """One use of `answers`. arrived: requests that are done, or the error that ended the run."""

    arrived: queue.SimpleQueue[_Item | BaseException] = field(default_factory=queue.SimpleQueue)
    over: bool = False


@dataclass(eq=False)
class _Item:
    """A request on its way."""

    call: _Call
    ask: Ask
    key: bytes
    reserved: Reserved
    tries: int = 0
    round: int = 0
    result: Answer | Failed | Postponed | None = None


def usable(ask: Ask, answer: Answer) -> Answer | Failed:
    """The answer, or what is wrong with it: nothing in it, ended by its length, withheld."""
    if answer.finish == "content_filter":
        return Failed("filtered", "withheld by the provider", answer.text)
    if answer.finish == "length" and not ask.may_be_cut:
        where = "within its reasoning" if answer.reasoning and not answer.text.strip() else "within the answer"
        return Failed("cut", f"ended {where}, at {ask.max_tokens:,} tokens", answer.text or answer.reasoning or "")
    if not answer.text.strip():
        return Failed("empty", "an answer without content", answer.text or answer.reasoning or "")
    return answer


class Asker:
    """Asks a backend; each answer is in the cache before it is handed out, those cut, empty or withheld too.

    One failure is tried again by its kind (`retry.TRIES`); the others, and those tried often enough, are handed out as `Failed`
    and not cached, so that a later run asks again. Equal requests under way at once are asked once.

    concurrency: most requests at once. seed: of the spread of pauses. watch: called about twice a second, in the caller's
    thread. Use as a context manager, or call `close()`, which closes the backend too and leaves the cache open.
    """

    def __init__(
        self,
        backend: Backend,
        cache: Cache | None = None,
        limits: Limits | None = None,
        watch: Callable[[Progress], None] | None = None,
        *,
        concurrency: int = 64,
        seed: int = 0,
    ) -> None:
        self.backend = backend
        self.cache = cache
        self.limits = limits or Limits()
        self.watch = watch
        self.progress = Progress(concurrency=concurrency)
        self._shown = 0.0
        self._chance = random.Random(seed)
        self._pace = Pace(concurrency)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        # Touched in the loop's thread alone:
        self._waiting: deque[_Item] = deque()
        self._under_way: dict[asyncio.Task[None], _Item] = {}
        self._resting: dict[_Item, asyncio.TimerHandle] = {}
        self._resume_at = 0.0
        self._in_a_row = 0
        self._resume: asyncio.TimerHandle | None = None
        self._stop: BaseException | None = None
        self._calls: set[_Call] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def answers(self, asks: Iterable[Ask]) -> Generator[tuple[int, Answer | Failed], None, None]:
        """Pairs of the number of a request, from 0, and what came of it: each once, as they come.

        Requests are taken as they are needed, at most 256 + 2 x concurrency ahead of what is handed out. `asks` may itself
        read from another `answers` of the same Asker.

        Raises Stopped when a limit is reached, or when the endpoint cannot be asked at all, after everything under way is
        handed out. When the caller leaves off, or is interrupted, what is under way is given up.
        """
        numbered = enumerate(asks)
        call = _Call()
        pending: dict[bytes, list[tuple[int, Ask]]] = {}
        waiting, more, asked = 0, True, False
        postponed: list[Postponed] = []
        error: BaseException | None = None
        try:
            while True:
                # By the half of what may be under way: looking up requests one by one would cost the loop's thread its turns.
                at_once = self.progress.concurrency
                while more and error is None and (room := 2 * at_once - waiting) >= max(1, at_once // 2):
                    chunk = list(islice(numbered, min(room, AHEAD)))
                    more = bool(chunk)
                    keys = [key_of(self.backend.endpoint, ask) for _, ask in chunk]
                    kept = self.cache.get(keys) if self.cache is not None and chunk else {}
                    fresh = []
                    for (number, ask), key in zip(chunk, keys, strict=True):
                        if (answer := kept.get(key)) is None:
                            if key not in pending:
                                fresh.append(_Item(call, ask, key, Reserved.of(ask)))
                            pending.setdefault(key, []).append((number, ask))
                    if fresh:
                        waiting += len(fresh)
                        asked = True
                        self._in_loop(self._accept, fresh)
                    for (number, ask), key in zip(chunk, keys, strict=True):
                        if (answer := kept.get(key)) is not None:
                            self.progress.cached += 1
                            self._show()
                            yield number, usable(ask, answer)
                    if waiting and not call.arrived.empty():
                        break
                if error is not None and call.arrived.empty():
                    raise error
                if not waiting and not more:
                    if postponed:
                        raise Stopped("postponed", f"{len(postponed):,} requests are not answered yet: {postponed[0]}")
                    if asked and self._stop is not None:
                        raise self._stop
                    return
                try:
                    item = call.arrived.get(timeout=SHOW_EVERY)
                except queue.Empty:
                    self._show()
                    continue
                if isinstance(item, BaseException):
                    error = item
                    continue
                waiting -= 1
                result, those = item.result, pending.pop(item.key)
                assert result is not None
                if isinstance(result, Postponed):
                    postponed.append(result)
                    continue
                for again, (number, ask) in enumerate(those):
                    self._show()
                    yield number, _once_more(usable(ask, result), again) if isinstance(result, Answer) else result
        finally:
            self._show(last=True)
            if self._loop is not None:
                self._in_loop(self._leave, call)

    def close(self) -> None:
        """End the thread, close the backend. Requests under way are given up."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        self._loop = self._thread = None
        asyncio.run_coroutine_threadsafe(self._end(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    def _show(self, last: bool = False) -> None:
        if self.watch is not None and (last or time.monotonic() - self._shown >= SHOW_EVERY):
            self._shown = time.monotonic()
            self.watch(self.progress)

    def _in_loop(self, work: Callable[..., None], *args: object) -> None:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, name="asker", daemon=True)
            self._thread.start()
        self._loop.call_soon_threadsafe(work, *args)

    # What follows runs in the loop's thread.

    def _accept(self, items: list[_Item]) -> None:
        self._calls.add(items[0].call)
        if self._stop is not None:
            self._tell_stop()
            return
        self._waiting.extend(items)
        self._start()

    def _start(self) -> None:
        """Start requests while there is room for them; end the run where a limit forbids the next."""
        loop = asyncio.get_running_loop()
        while (item := self._take()) is not None:
            task = loop.create_task(self._work(item))
            task.add_done_callback(self._left)
            self._under_way[task] = item
        self.progress.under_way = len(self._under_way)
        self.progress.concurrency = self._pace.limit

    def _take(self) -> _Item | None:
        """The next request, if it may start at once."""
        if not self._waiting or self._stop is not None or len(self._under_way) >= self._pace.limit:
            return None
        loop = asyncio.get_running_loop()
        if loop.time() < self._resume_at:
            if self._resume is not None:
                self._resume.cancel()
            self._resume = loop.call_at(self._resume_at, self._next)
            return None
        item = self._waiting[0]
        if (reached := self.limits.hold(item.reserved)) is not None:
            # What is under way may come to less than was held for it.
            if reached == "max_requests" or not self._under_way:
                self._halt(self.limits.reached(reached))
                self._tell_stop()
            return None
        self._waiting.popleft()
        item.round = self._pace.round
        item.tries += 1
        return item

    def _next(self) -> None:
        self._start()
        self._tell_stop()

    async def _work(self, item: _Item | None) -> None:
        """A request, and straight after its answer the next, with no turn of the loop between: answers that came together are
        then followed by requests that are not, where all would wait for one another again and again."""
        task = asyncio.current_task()
        assert task is not None
        while item is not None:
            self._under_way[task] = item
            await self._ask(item, task)
            item = self._take()

    def _left(self, task: asyncio.Task[None]) -> None:
        if (item := self._under_way.pop(task, None)) is not None:
            # Cancelled before it began.
            self.limits.release(item.reserved, None)
        self._next()

    async def _ask(self, item: _Item, task: asyncio.Task[None]) -> None:
        answer: Answer | None = None
        result: Answer | Failed | Postponed
        try:
            result = await self.backend.answer(item.ask)
            if isinstance(result, Answer):
                answer = result
                # Before anything else can end the process.
                if self.cache is not None:
                    self.cache.put(item.key, answer)
        except Postponed as later:
            result = later
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets it, and this thread goes on
            self._halt(error)
            return
        finally:
            self.limits.release(item.reserved, answer)
            del self._under_way[task]
            self.progress.under_way = len(self._under_way)
        if isinstance(result, Answer):
            self._answered(item, result)
        elif isinstance(result, Failed):
            self._failed(item, result)
        else:
            self._hand_out(item, result)

    def _answered(self, item: _Item, answer: Answer) -> None:
        self._pace.answered()
        self._in_a_row = 0
        progress = self.progress
        prompt, completion = counted(answer, item.reserved)
        progress.prompt_tokens += prompt
        progress.completion_tokens += completion
        progress.estimated += answer.prompt_tokens is None or answer.completion_tokens is None
        progress.cost += self.limits.cost(prompt, completion)
        progress.answered += 1
        if isinstance(unusable := usable(item.ask, answer), Failed):
            progress.answered -= 1
            progress.failed[unusable.kind] += 1
        self._hand_out(item, answer)

    def _failed(self, item: _Item, failed: Failed) -> None:
        loop = asyncio.get_running_loop()
        if failed.kind == "rate_limited":
            self._pace.refused(item.round)
        if failed.retry_after is not None and failed.retry_after > PATIENCE:
            self._halt(Stopped(failed.kind, f"the endpoint asks to wait {failed.retry_after:,.0f} s: run again then to go on"))
        if self._stop is None and not failed.hopeless and item.tries < TRIES.get(failed.kind, 1):
            self.progress.retried[failed.kind] += 1
            pause = pause_before(item.tries, failed, self._chance)
            if failed.retry_after is not None:
                self._resume_at = max(self._resume_at, loop.time() + pause)
            self._resting[item] = loop.call_later(pause, self._rested, item)
            return
        self.progress.failed[failed.kind] += 1
        self._in_a_row += failed.kind in GIVE_UP_AFTER
        if failed.hopeless or self._in_a_row >= GIVE_UP_AFTER.get(failed.kind, self._in_a_row + 1):
            self._halt(Stopped(failed.kind, f"{failed.message}; no more is asked, run again to go on"))
        self._hand_out(item, failed)

    def _rested(self, item: _Item) -> None:
        self._resting.pop(item, None)
        self._waiting.appendleft(item)
        self._next()

    def _hand_out(self, item: _Item, result: Answer | Failed | Postponed) -> None:
        item.result = result
        item.call.arrived.put(item)

    def _halt(self, error: BaseException) -> None:
        """Start nothing more; callers hear of it when nothing is under way."""
        if self._stop is None:
            self._stop = error
        self._waiting.clear()
        for timer in self._resting.values():
            timer.cancel()
        self._resting.clear()

    def _tell_stop(self) -> None:
        if self._stop is not None and not self._under_way:
            for call in self._calls:
                call.arrived.put(self._stop)
            self._calls.clear()

    def _leave(self, call: _Call) -> None:
        """The caller takes no more: give up what was asked for it."""
        self._calls.discard(call)
        self._waiting = deque(item for item in self._waiting if item.call is not call)
        for item in [item for item in self._resting if item.call is call]:
            self._resting.pop(item).cancel()
        for task, item in self._under_way.items():
            if item.call is call:
                task.cancel()

    async def _end(self) -> None:
        self._waiting.clear()
        for timer in self._resting.values():
            timer.cancel()
        tasks = list(self._under_way)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.backend.close()


def _once_more(result: Answer | Failed, again: int) -> Answer | Failed:
    """An answer that another equal request has had too cost nothing this time."""
    if again and isinstance(result, Answer):
        return Answer(result.text, result.reasoning, result.finish, result.prompt_tokens, result.completion_tokens, True)
    return result
