"""A real server on loopback that answers our prompts by rule, always the same to the same request: a model that does as told,
and now and then not."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WORDS = [
    "river", "bridge", "winter", "copper", "garden", "letter", "engine", "market", "silver", "window", "teacher", "planet",
    "violin", "harbour", "bread", "forest", "signal", "mirror", "ladder", "pepper", "canvas", "valley", "rocket", "blanket",
    "candle", "thunder", "barrel", "compass", "hammer", "lantern", "meadow", "needle", "orchard", "pillow",
]  # fmt: skip
VERBS = ["Explain", "Compare", "Describe", "Summarize", "Improve", "Translate", "Name", "Rank", "Review", "Plan"]


def sentence(*facts: Any) -> str:
    """A sentence that says little, drawn by the facts."""
    drawn = _chance(*facts)
    one, two, three, four, five = (WORDS[(drawn >> (5 * i)) % len(WORDS)] for i in range(5))
    return f"{VERBS[drawn % len(VERBS)]} how a {one} and a {two} differ from a {three} near the {four}, {five} {drawn % 97}."


def _chance(*facts: Any) -> int:
    return int.from_bytes(hashlib.blake2b(repr(facts).encode(), digest_size=8).digest(), "big")


def reply(told: str, number: int) -> str:
    """What the model says to the last thing that it is told."""
    chance = _chance(told, number)
    if chance % 11 == 0:
        return "I'm sorry, but I can't help with that."
    if match := re.search(r"Continue it with (\d+) more tasks.*?beginning with (\d+)", told, re.DOTALL):
        count, first = int(match.group(1)), int(match.group(2))
        if chance % 7 == 0:
            return "Here are some tasks."
        return "\n".join(f"{first + i}. {sentence(told, number, i)}" for i in range(count))
    if match := re.search(r"Use exactly this form, (\d+) time", told):
        passage = told.partition("Passage:\n")[2].split()
        quote = " ".join(passage[chance % 5 : chance % 5 + 6]) if chance % 5 else "words that stand nowhere"
        lines = []
        for i in range(int(match.group(1))):
            lines += [f"Q: {sentence(told, number, i)}", f"A: The {WORDS[chance % 30]} {i}.", f"FROM: {quote}"]
        return "\n".join(line for line in lines if "FROM" in told or not line.startswith("FROM"))
    if "single word yes or no" in told:
        return "no" if chance % 4 else "yes"
    if "whole number for each" in told:
        names = re.search(r"for each of these: (.*)\.", told)
        scores = {name: 1 + (chance >> i) % 10 for i, name in enumerate(names.group(1).split(", ") if names else ())}
        return json.dumps({"reason": "so", **scores}) if chance % 6 else "I would say 7 out of 10."
    if '"better"' in told:
        return json.dumps({"reason": "so", "better": ("first", "second", "tie")[chance % 3]})
    return sentence(told, number)


class Server(ThreadingHTTPServer):
    raw = True
    daemon_threads = True
    request_queue_size = 128


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._send({"object": "list", "data": [{"id": "rule", "object": "model"}]})

    def do_POST(self) -> None:
        assert isinstance(self.server, Server)
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "prompt" in asked and not self.server.raw:
            self.send_error(404)
            return
        told = asked["prompt"] if "prompt" in asked else asked["messages"][-1]["content"]
        text = reply(told, _chance(asked.get("messages"), asked.get("seed"), asked.get("temperature")))
        said = {"text": text} if "prompt" in asked else {"message": {"role": "assistant", "content": text}}
        usage = {"prompt_tokens": len(told) // 4, "completion_tokens": len(text) // 4}
        self._send({"choices": [{"index": 0, "finish_reason": "stop", **said}], "usage": usage})

    def _send(self, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@cache
def address(raw: bool = True) -> str:
    """The address of a server that runs as long as the process. raw: whether it has raw completions."""
    server = Server(("127.0.0.1", 0), Handler)
    server.raw = raw
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/v1"
