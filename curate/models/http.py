"""An OpenAI-compatible endpoint: vLLM, llama.cpp, Ollama, `transformers serve`, or a hosted one.

Measured at 64 requests at once: a request costs 7 ms of CPU through one client of httpx, 0.9 ms through a client for each
connection, and 0.4 ms through the connections of httpcore, on which httpx stands. So those are used, in a pool of our own.
"""

from __future__ import annotations

import asyncio
import json
import urllib.parse
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from curate.errors import MissingExtra, UsageError, nearest
from curate.models.ask import Answer, Ask, Failed, tell_schema
from curate.models.reply import failure_of, read_reply

if TYPE_CHECKING:
    from curate.models.connection import Connection, Reply

__all__ = ["HttpBackend", "base_of", "request_of"]

Shape = Literal["json_schema", "json_object", "told"]
"""How a server holds a model to a schema: as OpenAI has it; as llama.cpp's servers and others had it before, and still do, the
model being told the schema too, for servers that then see to JSON of any kind; not at all: the model is told."""

SHAPES: tuple[Shape, ...] = get_args(Shape)

CONNECT_SECONDS = 10.0
PATHS = ("/chat/completions", "/completions", "/models")


def base_of(address: str) -> str:
    """An endpoint's address as it is asked under: `http://host:8000`, `.../v1/` and `.../v1/chat/completions` are one.

    Raises UsageError for an address that is none, or that holds a secret.
    """
    parts = urllib.parse.urlsplit(address.strip())
    try:
        port = parts.port
    except ValueError:
        port = 0
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise UsageError("an endpoint is http://HOST[:PORT]/v1 or https://..., and this address is not")
    if parts.username is not None or parts.password is not None:
        raise UsageError("the endpoint's address holds a user or password; keys go into `key_env` or `key_file`")
    if parts.query or parts.fragment:
        raise UsageError("the endpoint's address ends in `?...` or `#...`; keys go into `key_env` or `key_file`")
    path = parts.path.rstrip("/")
    for end in PATHS:
        path = path.removesuffix(end)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}{path or '/v1'}"


def request_of(ask: Ask, limit_name: str = "max_tokens", shape: Shape = "json_schema") -> dict[str, Any]:
    """The body of a request for chat or completions. shape: how a schema is asked for."""
    schema = ask.schema
    if schema is not None and shape != "json_schema":
        ask = tell_schema(ask)
    body: dict[str, Any] = {"model": ask.model}
    if ask.prompt is None:
        body["messages"] = list(ask.messages)
    else:
        body["prompt"] = ask.prompt
    body |= {"temperature": ask.temperature, "top_p": ask.top_p, limit_name: ask.max_tokens}
    if ask.stop:
        body["stop"] = list(ask.stop)
    if ask.seed is not None:
        body["seed"] = ask.seed + ask.sample
    if schema is not None and shape == "json_schema":
        named = {"name": "answer", "schema": schema, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": named}
    elif schema is not None and shape == "json_object":
        body["response_format"] = {"type": "json_object", "schema": schema}
    return body | ask.more


class HttpBackend:
    """Asks over HTTP/1.1, one connection for each request under way, kept for the next.

    timeout: seconds from the start of a try to the end of its answer. key: sent as `Authorization: Bearer`; wherever the server
    repeats it, it is taken out.

    A server that knows no `response_format`, or another one, or wants `max_completion_tokens` says so once, and is then asked
    its way.
    """

    def __init__(self, address: str, key: str | None = None, timeout: float = 300.0) -> None:
        """Raises UsageError for a wrong address, key or proxy, InputError for certificates that cannot be read, MissingExtra
        without httpcore."""
        try:
            from curate.models.connection import origin_of
        except ImportError:
            raise MissingExtra("asking an endpoint", "synth") from None
        self.endpoint = base_of(address)
        self.raw = True
        self._key = key or ""
        self._timeout = timeout
        self._origin = origin_of(self.endpoint)
        self._path = urllib.parse.urlsplit(self.endpoint).path
        self._headers = [(b"host", self._origin.netloc), (b"content-type", b"application/json"), (b"user-agent", b"curate")]
        if key:
            if not key.isascii() or not key.isprintable() or " " in key:
                raise UsageError("the key holds characters that no key has: check what `key_env` or `key_file` names")
            self._headers.append((b"authorization", f"Bearer {key}".encode()))
        # As it is, in JSON of servers that escape slashes, and in an address.
        forms = {self._key, self._key.replace("/", "\\/"), urllib.parse.quote(self._key, safe="")} - {""}
        self._forms = sorted(form.encode() for form in forms)
        self._idle: list[Connection] = []
        self._limit_name = "max_tokens"
        self._shape = SHAPES[0]

    async def answer(self, ask: Ask) -> Answer | Failed:
        """One try, within the timeout."""
        try:
            async with asyncio.timeout(self._timeout):
                result = await self._answer(ask)
        except TimeoutError:
            result = Failed("timeout", f"no answer within {self._timeout:g} s")
        return self._without_key(result) if self._key else result

    async def _answer(self, ask: Ask) -> Answer | Failed:
        chat = ask.prompt is None
        while True:
            named, shape = self._limit_name, self._shape
            got = await self._send(b"POST", PATHS[0] if chat else PATHS[1], request_of(ask, named, shape))
            if isinstance(got, Failed):
                return got
            status, headers, content = got
            if status == 200:
                return read_reply(content, chat=chat)
            # Told once, for all requests that follow. Servers of FastAPI's kind answer 500 to members that they do not know.
            if status in (400, 422, 500):
                if named == "max_tokens" and b"max_completion_tokens" in content:
                    self._limit_name = "max_completion_tokens"
                    continue
                refused = any(word in content for word in (b"response_format", b"json_schema", b"json_object"))
                if shape != "told" and ask.schema is not None and refused:
                    self._shape = SHAPES[SHAPES.index(shape) + 1]
                    continue
            failed = failure_of(status, content, headers)
            if failed.hopeless and failed.kind == "wrong_request":
                return await self._explained(failed, ask)
            return failed

    async def _explained(self, failed: Failed, ask: Ask) -> Failed:
        """What is wrong with every request, as far as the server's list of models tells."""
        models = await self.models()
        if models and ask.model not in models:
            hint = nearest(ask.model, models)
            return replace(failed, message=f"{self.endpoint} has no model '{ask.model}'{hint} ({failed.message})")
        if ask.prompt is not None and "model" not in failed.message.lower():
            self.raw = False
            return replace(failed, message=f"{self.endpoint} has no completions, which raw prompts need ({failed.message})")
        return replace(failed, message=f"{self.endpoint} does not take the request ({failed.message})")

    async def models(self) -> list[str] | None:
        """Names of the models that the server lists; None where it has no list."""
        got = await self._send(b"GET", PATHS[2], None)
        if isinstance(got, Failed) or got[0] != 200:
            return None
        try:
            listed = json.loads(got[2])["data"]
            return [str(model["id"]) for model in listed]
        except (ValueError, KeyError, TypeError):
            return None

    async def close(self) -> None:
        """Close the connections."""
        idle, self._idle = self._idle, []
        for connection in idle:
            await connection.close()

    async def _send(self, method: bytes, path: str, body: dict[str, Any] | None) -> Reply | Failed:
        """The reply, or how there is none."""
        from curate.models.connection import Broken, Connection, Unreachable

        content = b"" if body is None else json.dumps(body).encode()
        headers = (*self._headers, (b"content-length", b"%d" % len(content)))
        connection = await self._kept() or Connection(self._origin, CONNECT_SECONDS)
        try:
            reply = await connection.ask(method, (self._path + path).encode(), headers, content)
        except Unreachable as error:
            return Failed("unreachable", f"{self.endpoint} cannot be reached ({error})", hopeless=error.untrusted)
        except Broken as error:
            return Failed("broken", f"the connection broke off ({error})")
        finally:
            if connection.free:
                self._idle.append(connection)
            else:
                # As it may be cancelled: what is closed need not wait.
                await connection.close()
        return reply._replace(
            headers={name: self._redacted(value) for name, value in reply.headers.items()},
            content=self._redacted(reply.content),
        )

    def _redacted(self, received: bytes) -> bytes:
        for form in self._forms:
            received = received.replace(form, b"[key]")
        return received

    async def _kept(self) -> Connection | None:
        """A connection that is open and idle."""
        while self._idle:
            connection = self._idle.pop()
            if connection.free:
                return connection
            await connection.close()
        return None

    def _without_key(self, result: Answer | Failed) -> Answer | Failed:
        key, mark = self._key, "[key]"
        if isinstance(result, Failed):
            if key not in result.message and key not in result.raw:
                return result
            return replace(result, message=result.message.replace(key, mark), raw=result.raw.replace(key, mark))
        if key not in result.text and key not in (result.reasoning or ""):
            return result
        reasoning = result.reasoning and result.reasoning.replace(key, mark)
        return replace(result, text=result.text.replace(key, mark), reasoning=reasoning)
