"""Requests written to files, answered by a batch service, and read from its files: the layout of OpenAI's Batch API.

A run writes what it asks; the person sends the files, puts the results into the same folder, and runs the same again.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, TextIO

from curate.errors import InputError, OutputError
from curate.models.ask import Answer, Ask, Failed, key_of
from curate.models.backend import Postponed
from curate.models.http import request_of
from curate.models.reply import failure_of, read_reply

__all__ = ["BatchFolder"]

REQUESTS = "requests"
MOST_LINES = 50_000
MOST_BYTES = 190_000_000
"""OpenAI takes 50,000 requests and 200 MB in a file, of one model and one kind."""


class BatchFolder:
    """A folder of `requests-MODEL-KIND-0001.jsonl`, and beside them results under any other name that ends in `.jsonl`.

    A request that has no result, and is in no file of requests, is written to one. Results are found by `custom_id`, the key
    of the request in hexadecimal. Memory: the place of each result, about 200 bytes.
    """

    endpoint = "batch"
    raw = True

    def __init__(self, folder: Path) -> None:
        """Raises OutputError where the folder cannot be made, InputError for a file in it that is no batch file."""
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{folder}: the folder of batch files cannot be made ({error.strerror})") from error
        self._written: set[str] = set()
        self._results: dict[str, tuple[Path, int]] = {}
        self._open: dict[str, tuple[TextIO, int, int]] = {}
        for file in sorted(folder.glob("*.jsonl")):
            self._index(file)

    def _index(self, file: Path) -> None:
        requests = file.name.startswith(REQUESTS + "-")
        place = 0
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if requests and not line.endswith(b"\n"):
                    # The end of a file whose writer was killed; the request is written again, to another file.
                    with file.open("r+b") as cut:
                        cut.truncate(place)
                    break
                try:
                    name = json.loads(line)["custom_id"] if line.strip() else None
                except (ValueError, KeyError, TypeError) as error:
                    raise InputError(f"{file}:{number}: not a line of a batch file, which has a `custom_id`") from error
                if name is not None and requests:
                    self._written.add(name)
                elif name is not None:
                    self._results[name] = (file, place)
                place += len(line)

    async def answer(self, ask: Ask) -> Answer | Failed:
        """The result of the request; without one it is written down, and Postponed raised."""
        name = key_of(self.endpoint, ask).hex()
        if name in self._results:
            return self._read(name, chat=ask.prompt is None)
        if name not in self._written:
            self._write(name, ask)
        raise Postponed(
            f"send {self._folder}/{REQUESTS}-*.jsonl to the batch service, put its results beside them, and run the same again"
        )

    def _read(self, name: str, *, chat: bool) -> Answer | Failed:
        file, place = self._results[name]
        with file.open("rb") as lines:
            lines.seek(place)
            line: dict[str, Any] = json.loads(lines.readline())
        response = line.get("response")
        if not isinstance(response, dict) or not isinstance(response.get("body"), dict):
            # To try again would read the same line again.
            return Failed("wrong_request", f"{file.name}: {json.dumps(line.get('error'))}", json.dumps(line))
        status, body = response.get("status_code", 200), json.dumps(response["body"]).encode()
        return read_reply(body, chat=chat) if status == 200 else failure_of(int(status), body, {})

    def _write(self, name: str, ask: Ask) -> None:
        kind = "chat" if ask.prompt is None else "completions"
        group = f"{REQUESTS}-{re.sub(r'[^A-Za-z0-9.]+', '-', ask.model).strip('-')}-{kind}"
        url = "/v1/chat/completions" if ask.prompt is None else "/v1/completions"
        line = json.dumps({"custom_id": name, "method": "POST", "url": url, "body": request_of(ask)}) + "\n"
        try:
            stream, count, size = self._open.get(group) or self._fresh(group)
            if count + 1 > MOST_LINES or size + len(line) > MOST_BYTES:
                stream.close()
                stream, count, size = self._fresh(group)
            stream.write(line)
            stream.flush()
        except OSError as error:
            raise OutputError(f"{self._folder}: a request cannot be written ({error.strerror})") from error
        self._open[group] = (stream, count + 1, size + len(line))
        self._written.add(name)

    def _fresh(self, group: str) -> tuple[TextIO, int, int]:
        """A file of its own for each run: those of earlier runs may have been sent."""
        number = len(list(self._folder.glob(f"{group}-*.jsonl"))) + 1
        return (self._folder / f"{group}-{number:04d}.jsonl").open("x", encoding="utf-8"), 0, 0

    async def close(self) -> None:
        """Close the files."""
        for stream, _, _ in self._open.values():
            stream.close()
        self._open.clear()
