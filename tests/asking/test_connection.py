"""Connections: TLS with certificates of one's own, proxies from the environment, replies in every form of HTTP/1.1."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import pytest

from curate.errors import InputError, UsageError
from curate.models.ask import Answer, Ask, Failed
from curate.models.connection import origin_of
from curate.models.http import HttpBackend
from tests.asking.certificate import certificate, serving_context
from tests.asking.proxy import proxying
from tests.asking.server import chat, serving

NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
WHY = Ask("small", messages=({"role": "user", "content": "why"},))


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy and no certificates of the machine that the tests run on."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def ask(address: str, times: int = 1, key: str | None = None) -> list[Answer | Failed]:
    """One after the other."""

    async def go() -> list[Answer | Failed]:
        backend = HttpBackend(address, key, timeout=5.0)
        try:
            return [await backend.answer(WHY) for _ in range(times)]
        finally:
            await backend.close()

    return asyncio.run(go())


def failed(address: str) -> Failed:
    (result,) = ask(address)
    assert isinstance(result, Failed)
    return result


def test_a_certificate_that_signs_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with serving(lambda n, body: chat("because"), tls=serving_context()) as server:
        refused = failed(server.url)
        assert (refused.kind, refused.hopeless) == ("unreachable", True)
        assert "self-signed certificate; SSL_CERT_FILE can name" in refused.message
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate()))
        assert [result.text for result in ask(server.url, 3) if isinstance(result, Answer)] == ["because"] * 3
        # Certificates hold for the hosts that they name.
        other = failed(server.url.replace("127.0.0.1", "localhost"))
        assert (other.kind, other.hopeless) == ("unreachable", True)
        assert "localhost" in other.message
    assert len(server.log) == 3


@pytest.mark.parametrize("content", [None, b"not a certificate"])
def test_certificates_that_cannot_be_read(content: bytes | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "own.pem"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with pytest.raises(InputError, match=f"SSL_CERT_FILE={file}: no certificates can be read there"):
        HttpBackend("https://model.test")


def test_https_where_the_server_has_none() -> None:
    with serving(lambda n, body: chat("because")) as server:
        refused = failed(server.url.replace("http:", "https:"))
    assert refused.kind == "unreachable"


def test_a_proxy_for_plain_http(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(lambda n, body: chat("because")) as server, proxying(server.url) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://ada:p%40ss@{proxy.host}")
        results = ask("http://model.test/v1", 2)
    assert [result.text for result in results if isinstance(result, Answer)] == ["because"] * 2
    assert [(method, target) for method, target, _ in proxy.log] == [("POST", "http://model.test:80/v1/chat/completions")] * 2
    given = {name.lower(): value for name, value in proxy.log[0][2].items()}
    assert base64.b64decode(given["proxy-authorization"].removeprefix("Basic ")) == b"ada:p@ss"
    assert given["host"] == "model.test"


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "ALL_PROXY"])
def test_a_tunnel_for_https(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate()))
    with serving(lambda n, body: chat("because"), tls=serving_context()) as server, proxying(server.url) as proxy:
        # Without a scheme, as people write it.
        monkeypatch.setenv(name, proxy.host)
        results = ask("https://model.test/v1", 2, key="sk-secret")
    assert [result.text for result in results if isinstance(result, Answer)] == ["because"] * 2
    # One tunnel for both, which the key goes through and not to the proxy.
    assert [(method, target) for method, target, _ in proxy.log] == [("CONNECT", "model.test:443")]
    assert "sk-secret" not in repr(proxy.log)
    assert server.log[0]["headers"]["authorization"] == "Bearer sk-secret"


@pytest.mark.parametrize(("scheme", "says"), [("http", "wants a user and password"), ("https", "answers with status 407")])
def test_a_proxy_that_refuses(scheme: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with proxying("http://127.0.0.1:9", refuses=407) as proxy:
        monkeypatch.setenv(f"{scheme.upper()}_PROXY", f"http://ada:hidden@{proxy.host}")
        refused = failed(f"{scheme}://model.test/v1")
    assert refused.kind == "unreachable"
    assert says in refused.message
    assert "hidden" not in repr(refused)


def test_whom_no_proxy_is_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "near.test,other.test:8000")
    direct = ("localhost:1", "127.0.0.1:1", "[::1]:1", "near.test", "a.near.test:80", "other.test:8000")
    assert [origin_of(f"http://{host}/v1").proxy for host in direct] == [None] * 6
    assert origin_of("http://far.test/v1").proxy is not None


@pytest.mark.parametrize("address", ["socks5://ada:hidden@127.0.0.1:1", "http://", "http://h:99999999"])
def test_a_proxy_that_is_none(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", address)
    with pytest.raises(UsageError, match="HTTPS_PROXY: a proxy is http://") as raised:
        HttpBackend("https://model.test")
    assert "hidden" not in str(raised.value)


BODY = chat("because").body
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = b"%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n" % (9, BODY[:9], len(BODY) - 9, BODY[9:])


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY, True),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKED, True),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n" + HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY, True),
        (HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY, False),
        (HEAD.replace(b"1.1", b"1.0") + b"\r\n" + BODY, False),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKED[:-9], None),
        (HEAD + b"Content-Length: %d\r\n\r\n" % (len(BODY) + 1) + BODY, None),
        (b"HTTP/1.1 abc\r\n\r\n", None),
        (b"", None),
    ],
)
@pytest.mark.parametrize("piece", [1, 1 << 20])
def test_replies_in_any_form_and_any_pieces(sent: bytes, kept: bool | None, piece: int) -> None:
    """kept: whether the connection takes a second request; None: the reply is broken."""
    met = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal met
        met += 1
        while head := await reader.read(1 << 16):
            assert b"Expect" not in head
            for start in range(0, len(sent), piece):
                writer.write(sent[start : start + piece])
                await writer.drain()
                await asyncio.sleep(0)
            if not kept:
                break
        writer.close()

    async def go() -> list[Answer | Failed]:
        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        backend = HttpBackend(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        try:
            return [await backend.answer(WHY) for _ in range(2)]
        finally:
            await backend.close()
            server.close()

    results = asyncio.run(go())
    if kept is None:
        assert {result.kind for result in results if isinstance(result, Failed)} == {"broken"}
    else:
        assert [result.text for result in results if isinstance(result, Answer)] == ["because"] * 2
    assert met == (1 if kept else 2)
