"""Connections to an HTTP/1.1 server, one request at a time on each: h11 for the protocol, TLS and proxies from asyncio.

A reply is read to its end within the callback of the event loop that brings it, so that a request wakes its task once. That is
what makes it cheap: see `curate.models.http`.
"""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import NamedTuple

import h11

from curate.errors import InputError, UsageError

__all__ = ["Broken", "Connection", "Origin", "Proxy", "Reply", "Unreachable", "origin_of"]

MOST_HEADERS = 100_000
"""Bytes of headers that are taken."""

SECOND_ADDRESS = 0.25
"""Seconds after which the next address of a host is tried beside the one before (RFC 8305)."""


class Reply(NamedTuple):
    """headers: names in lower case."""

    status: int
    headers: dict[bytes, bytes]
    content: bytes


class Unreachable(Exception):
    """There is no connection. untrusted: because of the server's certificate."""

    def __init__(self, message: str, untrusted: bool = False) -> None:
        super().__init__(message)
        self.untrusted = untrusted


class Broken(Exception):
    """The connection ended within a reply, or what came is no HTTP."""


class Proxy(NamedTuple):
    """headers: for the proxy alone."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    headers: tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True)
class Origin:
    """Where a server is. netloc: as requests name it; tls: None for plain HTTP."""

    host: str
    port: int
    netloc: bytes
    tls: ssl.SSLContext | None = None
    proxy: Proxy | None = None


def origin_of(address: str) -> Origin:
    """The server of an http(s) address, with the proxy that the environment has for it.

    Certificates are those of certifi, or what SSL_CERT_FILE or SSL_CERT_DIR names. Proxies are those of HTTP_PROXY, HTTPS_PROXY
    and ALL_PROXY, but for hosts that NO_PROXY names and for this machine. Raises InputError for a file of certificates that
    cannot be read, UsageError for a proxy that is none.
    """
    parts = urllib.parse.urlsplit(address)
    assert parts.hostname is not None
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    local = parts.hostname in ("localhost", "::1") or parts.hostname.startswith("127.")
    proxies = {} if local or urllib.request.proxy_bypass(parts.netloc) else urllib.request.getproxies()
    named = next((name for name in (parts.scheme, "all") if proxies.get(name)), None)
    proxy = None if named is None else _proxy(proxies[named], named)
    return Origin(parts.hostname, port, parts.netloc.encode("idna"), _trusted() if secure else None, proxy)


def _trusted() -> ssl.SSLContext:
    import certifi

    name = next((name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)), None)
    try:
        if name is None:
            context = ssl.create_default_context(cafile=certifi.where())
        elif name == "SSL_CERT_FILE":
            context = ssl.create_default_context(cafile=os.environ[name])
        else:
            context = ssl.create_default_context(capath=os.environ[name])
    except OSError as error:
        said = f"{name}={os.environ.get(name or '')}: " if name else ""
        raise InputError(f"{said}no certificates can be read there ({error.strerror or error})") from error
    context.set_alpn_protocols(["http/1.1"])
    return context


def _proxy(address: str, name: str) -> Proxy:
    parts = urllib.parse.urlsplit(address if "://" in address else f"http://{address}")
    try:
        port = parts.port
    except ValueError:
        port = 0
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise UsageError(f"{name.upper()}_PROXY: a proxy is http://[USER:PASSWORD@]HOST[:PORT] or https://..., and this is not")
    headers: tuple[tuple[bytes, bytes], ...] = ()
    if parts.username is not None:
        who = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
        headers = ((b"proxy-authorization", b"Basic " + base64.b64encode(who.encode())),)
    secure = parts.scheme == "https"
    return Proxy(parts.hostname, port or (443 if secure else 80), _trusted() if secure else None, headers)


class Connection(asyncio.Protocol):
    """An open connection, through the proxy where there is one. Its methods belong to the thread of the event loop."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MOST_HEADERS)
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Reply] | None = None
        self._status = 0
        self._headers: dict[bytes, bytes] = {}
        self._parts: list[bytes] = []

    @classmethod
    async def open(cls, origin: Origin, seconds: float) -> Connection:
        """Connect within so many seconds. Raises Unreachable."""
        connection = cls(origin)
        try:
            async with asyncio.timeout(seconds):
                await connection._open()
        except BaseException as error:
            connection.close()
            if isinstance(error, ssl.SSLCertVerificationError):
                raise Unreachable(
                    f"its certificate is not trusted: {error.verify_message}; SSL_CERT_FILE can name a file of certificates "
                    "that are",
                    untrusted=True,
                ) from error
            if isinstance(error, TimeoutError):
                raise Unreachable(f"no connection within {seconds:g} s") from error
            if isinstance(error, OSError | Broken):
                raise Unreachable(_why(error)) from error
            raise
        return connection

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        origin, proxy = self._origin, self._origin.proxy
        host, port, tls = (origin.host, origin.port, origin.tls) if proxy is None else (proxy.host, proxy.port, proxy.tls)
        await loop.create_connection(
            lambda: self, host, port, ssl=tls, server_hostname=host if tls else None, happy_eyeballs_delay=SECOND_ADDRESS
        )
        if proxy is None or origin.tls is None:
            return
        # A tunnel: what follows is between us and the server, in TLS of its own.
        name = f"[{origin.host}]" if ":" in origin.host else origin.host
        end = f"{name}:{origin.port}".encode("idna")
        status, _, _ = await self.ask(b"CONNECT", end, ((b"host", end), *proxy.headers), b"")
        if not 200 <= status < 300:
            raise Unreachable(f"the proxy {proxy.host} answers with status {status}")
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MOST_HEADERS)
        assert self._transport is not None
        transport = await loop.start_tls(self._transport, self, origin.tls, server_hostname=origin.host)
        if transport is None:
            raise Broken("the connection was closed")
        self._transport = transport

    async def ask(self, method: bytes, target: bytes, headers: tuple[tuple[bytes, bytes], ...], content: bytes) -> Reply:
        """Send a request, and read the reply to its end. Raises Broken."""
        assert self._transport is not None
        waiting: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting = waiting
        self._headers, self._parts = {}, []
        if self._origin.proxy is not None and self._origin.tls is None:
            target = b"http://" + self._origin.netloc + target
            headers = (*headers, *self._origin.proxy.headers)
        http, parts = self._http, []
        for event in (h11.Request(method=method, target=target, headers=list(headers)), h11.Data(content), h11.EndOfMessage()):
            parts.append(http.send(event) or b"")
        self._transport.write(b"".join(parts))
        try:
            return await waiting
        finally:
            self._waiting = None

    @property
    def free(self) -> bool:
        """Whether it takes another request."""
        transport = self._transport
        return transport is not None and not transport.is_closing() and self._http.our_state is h11.IDLE

    def close(self) -> None:
        """Close it at once."""
        if self._transport is not None:
            self._transport.abort()

    # Called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            self._http.receive_data(data)
            self._read()
        except h11.RemoteProtocolError as error:
            self._fail(str(error))

    def eof_received(self) -> None:
        # The end of a reply without a length; h11 says so where it is none.
        self.data_received(b"")

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(_why(error) if error is not None else "the server closed it")

    def _read(self) -> None:
        while True:
            event = self._http.next_event()
            if isinstance(event, h11.Response):
                self._status, self._headers = event.status_code, dict(event.headers)
            elif isinstance(event, h11.Data):
                self._parts.append(event.data)
            elif isinstance(event, h11.EndOfMessage) or self._http.their_state is h11.SWITCHED_PROTOCOL:
                # Switched: a proxy has opened a tunnel.
                if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
                    self._http.start_next_cycle()
                if self._waiting is not None and not self._waiting.done():
                    self._waiting.set_result(Reply(self._status, self._headers, b"".join(self._parts)))
                return
            elif isinstance(event, h11.ConnectionClosed):
                self._fail("the server closed it")
                return
            elif event is h11.NEED_DATA or event is h11.PAUSED:
                return

    def _fail(self, why: str) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(Broken(why))
        self.close()


def _why(error: BaseException) -> str:
    if isinstance(error, ConnectionError) and error.errno:
        # asyncio puts words of its own there.
        return os.strerror(error.errno)
    return (isinstance(error, OSError) and error.strerror) or str(error).strip() or type(error).__name__
