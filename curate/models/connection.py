"""Connections to an HTTP/1.1 server, one request at a time on each: those of httpcore, on which httpx stands."""

from __future__ import annotations

import logging
import os
import ssl
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import NamedTuple

import httpcore

from curate.errors import InputError, UsageError

__all__ = ["Broken", "Connection", "Origin", "Proxy", "Reply", "Unreachable", "origin_of"]

# At DEBUG it logs the headers of replies, in which a server may repeat the key.
logging.getLogger("httpcore").setLevel(logging.INFO)


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
    """address: without what proves who asks, which is `auth`: user and password."""

    address: str
    auth: tuple[str, str] | None
    tls: ssl.SSLContext | None


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
    auth = None
    if parts.username is not None:
        auth = (urllib.parse.unquote(parts.username), urllib.parse.unquote(parts.password or ""))
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    secure = parts.scheme == "https"
    return Proxy(f"{parts.scheme}://{host}:{port or (443 if secure else 80)}", auth, _trusted() if secure else None)


class Connection:
    """A connection, through the proxy where there is one; opened by its first request."""

    def __init__(self, origin: Origin, connect_seconds: float) -> None:
        scheme = b"http" if origin.tls is None else b"https"
        self._core = httpcore.Origin(scheme, origin.host.encode("idna"), origin.port)
        self._timeout = {"timeout": {"connect": connect_seconds}}
        self._inner: httpcore.AsyncConnectionInterface
        if (proxy := origin.proxy) is None:
            self._inner = httpcore.AsyncHTTPConnection(self._core, ssl_context=origin.tls, http1=True, http2=False)
        else:
            through = httpcore.AsyncHTTPProxy(
                proxy.address, proxy.auth, ssl_context=origin.tls, proxy_ssl_context=proxy.tls, http1=True, http2=False
            )
            self._inner = through.create_connection(self._core)

    async def ask(self, method: bytes, target: bytes, headers: tuple[tuple[bytes, bytes], ...], content: bytes) -> Reply:
        """Send a request, and read the reply to its end. Raises Unreachable, Broken."""
        core = self._core
        url = httpcore.URL(scheme=core.scheme, host=core.host, port=core.port, target=target)
        request = httpcore.Request(method, url, headers=headers, content=content, extensions=self._timeout)
        try:
            response = await self._inner.handle_async_request(request)
            received = b"".join([part async for part in response.aiter_stream()])
            await response.aclose()
        except httpcore.ProxyError as error:
            raise Unreachable(f"the proxy answers with status {error}") from error
        except httpcore.ConnectTimeout as error:
            raise Unreachable(f"no connection within {self._timeout['timeout']['connect']:g} s") from error
        except httpcore.ConnectError as error:
            why = _cause(error)
            if isinstance(why, ssl.SSLCertVerificationError):
                raise Unreachable(
                    f"its certificate is not trusted: {why.verify_message}; SSL_CERT_FILE can name a file of certificates "
                    "that are",
                    untrusted=True,
                ) from error
            raise Unreachable(_said(why)) from error
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise Broken(_said(error)) from error
        return Reply(response.status, {name.lower(): value for name, value in response.headers}, received)

    @property
    def free(self) -> bool:
        """Whether it takes another request."""
        return self._inner.is_available() and not self._inner.has_expired()

    async def close(self) -> None:
        """Close it at once."""
        await self._inner.aclose()


def _cause(error: BaseException) -> BaseException:
    """The error of the system below those of the library."""
    while (below := error.__cause__ or error.__context__) is not None:
        error = below
    return error


def _said(error: BaseException) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error).strip() or type(error).__name__
