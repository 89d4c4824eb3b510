"""Many annotators on the page at once: how fast it answers, and whether a vote is lost or counted twice.

python -m benchmarks.rank_load --annotators 50 --seconds 120 [--pause 0.5] [--kill]

Each annotator opens a task, keeps a draft, votes, and goes on after a pause; the server is `curate rank serve` in a process
of its own. With --kill it is killed (SIGKILL) half-way and started again, and annotators send again what was not answered.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from curate.rank.campaign import VOTES, Answer, Campaign, Task, write_campaign
from curate.rank.votes import read_votes

WORDS = "**Light** is scattered by air, `blue` more than red.\n\n- at noon the way is short\n- at dusk it is long\n\n"


@dataclass
class Outcome:
    """What came of a load. seconds: of each request, by kind. acknowledged: submissions the server said were saved."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    acknowledged: list[tuple[str, str, str]] = field(default_factory=list)
    """Annotator, task, comment; the comment is one of a kind."""

    again: int = 0
    """Requests that were sent again, because the server was down."""

    votes: int = 0
    faults: list[str] = field(default_factory=list)


class Server:
    """`curate rank serve` on a folder."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        command = [sys.executable, "-m", "curate.cli", "rank", "serve", str(folder), "--port", str(port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        said = ""
        while "Ctrl-C ends" not in said:
            line = self.process.stdout.readline()
            if not line:
                raise RuntimeError(f"the server did not start: {said}")
            said += line
        self.links = dict(re.findall(r"^ *(\S+?):? +(http\S+)$", said, re.MULTILINE))
        self.port = int(re.findall(r":(\d+)/admin", said)[0])

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=60)


async def _annotate(client: httpx.AsyncClient, name: str, secret: str, until: float, pause: float, outcome: Outcome) -> None:
    chance = random.Random(name)
    headers = {"authorization": f"Bearer {secret}", "content-type": "application/json"}

    async def ask(kind: str, body: object) -> dict[str, object]:
        while True:
            began = time.perf_counter()
            try:
                answer = await client.post(f"/api/{kind}", content=json.dumps(body), headers=headers)
            except httpx.TransportError:
                outcome.again += 1
                await asyncio.sleep(0.2)
                continue
            outcome.seconds[kind].append(time.perf_counter() - began)
            if answer.status_code != 200:
                outcome.faults.append(f"{kind}: {answer.status_code} {answer.text[:200]}")
                raise asyncio.CancelledError
            return dict(answer.json())

    await asyncio.sleep(chance.uniform(0, min(pause, 1)))
    while time.monotonic() < until:
        task = (await ask("open", {}))["task"]
        if task is None:
            break
        comment = f"{name} {len(outcome.acknowledged)} {chance.random()}"
        ranks = dict(zip("abc", chance.sample((1, 2, 3), 3), strict=True))
        state = {"criteria": {"overall": {"ranks": ranks, "all_bad": False}}, "comment": comment, "seconds": 1.5}
        await ask("draft", {"task": task, "state": state})
        await ask("vote", {"task": task, "state": state, "submission": f"{chance.getrandbits(96):024x}"})
        outcome.acknowledged.append((name, str(task), comment))
        await asyncio.sleep(chance.uniform(0.5, 1.5) * pause)


async def _all(server: Server, until: float, pause: float, outcome: Outcome) -> None:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", limits=limits, timeout=30) as client:
        people = [(name, link.rpartition("/")[2]) for name, link in server.links.items() if name != "admin"]
        await asyncio.gather(*(_annotate(client, name, secret, until, pause, outcome) for name, secret in people))


async def _with_kill(folder: Path, server: Server, seconds: float, pause: float, outcome: Outcome) -> Server:
    load = asyncio.create_task(_all(server, time.monotonic() + seconds, pause, outcome))
    await asyncio.sleep(seconds / 2)
    server.kill()
    again = await asyncio.to_thread(Server, folder, server.port)
    await load
    return again


def run(folder: Path, annotators: int, seconds: float, pause: float, kill: bool = False, tasks: int = 20_000) -> Outcome:
    """Put the load on a server of its own and check what is left in votes.jsonl."""
    overlap = 2
    rows = []
    for i in range(tasks):
        answers = tuple(Answer(name, f"{i} {name} {WORDS * (1 + j)}") for j, name in enumerate("abc"))
        rows.append(Task(f"t{i}", ({"role": "user", "content": f"Why is sky {i} blue?"},), answers))
    names = tuple(f"annotator-{i}" for i in range(annotators))
    write_campaign(folder, Campaign(overlap=overlap, annotators=names), rows, [])
    outcome = Outcome()
    server = Server(folder)
    try:
        if kill:
            server = asyncio.run(_with_kill(folder, server, seconds, pause, outcome))
        else:
            asyncio.run(_all(server, time.monotonic() + seconds, pause, outcome))
    finally:
        server.stop()
    votes = read_votes(folder / VOTES)
    outcome.votes = len(votes)
    there = Counter((vote.annotator, vote.task, vote.comment) for vote in votes)
    outcome.faults += [f"lost: {one}" for one in outcome.acknowledged if one not in there]
    outcome.faults += [f"{n} times: {one}" for one, n in there.items() if n > 1]
    outcome.faults += [f"twice to one: {one}" for one, n in Counter((v.annotator, v.task) for v in votes).items() if n > 1]
    outcome.faults += [f"{n} people: {one}" for one, n in Counter(vote.task for vote in votes).items() if n > overlap]
    return outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--annotators", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--pause", type=float, default=0.5)
    parser.add_argument("--kill", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        outcome = run(Path(folder), given.annotators, given.seconds, given.pause, given.kill)
    lines = [f"{'request':8} {'number':>8} {'p50 ms':>8} {'p99 ms':>8} {'max ms':>8}"]
    for kind, seconds in [*outcome.seconds.items(), ("all", [s for times in outcome.seconds.values() for s in times])]:
        ordered = sorted(1000 * s for s in seconds)
        at = [ordered[int(share * (len(ordered) - 1))] for share in (0.5, 0.99, 1)]
        lines.append(f"{kind:8} {len(ordered):8,} {at[0]:8.1f} {at[1]:8.1f} {at[2]:8.1f}")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    lines.append(f"the server used {used.ru_utime + used.ru_stime:.1f} s of processor time")
    said = f"{len(outcome.acknowledged):,} votes acknowledged, {outcome.votes:,} in votes.jsonl, {outcome.again:,} sent again"
    sys.stdout.write("\n".join([*lines, said, *outcome.faults[:20], f"faults: {len(outcome.faults)}", ""]))


if __name__ == "__main__":
    main()
