from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from curate.errors import UsageError
from curate.steps.redact import Redact
from tests.kernels.texts import texts

DEFAULT = Redact().bind()
# Put together here, so that no scanner takes this file for a leak.
KEY = "0aZ9bY8cX7dW6eV5fU4gT3hS2iR1jQ0kP9lO8mN7"
PEM = "-----BEGIN RSA PRIVATE" + " KEY-----\n" + (KEY * 2 + "\n") * 3 + "-----END RSA PRIVATE" + " KEY-----"
JWT = "eyJ" + KEY[:20] + ".eyJ" + KEY[:30] + "." + KEY


def apply(step: Redact, *rows: str) -> list[str]:
    after: list[str] = step.bind()(pl.Series(rows, dtype=pl.String)).to_list()
    return after


@pytest.mark.parametrize(
    ("kind", "hit"),
    [
        ("email", "jane.doe+news@mail.uni-ulm.de"),
        ("email", "o'neil@firm.co.uk"),
        ("email", "x@xn--bcher-kva.xn--p1ai"),
        ("phone", "+49 30 9599 8099"),
        ("phone", "+49 (0)40-30030"),
        ("phone", "+33123456789"),
        ("phone", "+1 (408) 354 7770"),
        ("phone", "(212) 555-0123"),
        ("phone", "212-555-0123"),
        ("phone", "212.555.0123"),
        ("phone", "1-888-628-9454"),
        ("phone", "01 23 45 67 89"),
        ("phone", "020 7946 0958"),
        ("phone", "07911 123456"),
        ("phone", "030 / 22 63 43-0"),
        ("phone", "(0221) 123456"),
        ("ipv4", "82.50.72.202"),
        ("ipv6", "2a01:238:43ed:c300:10c3:bcf3:3266:da74"),
        ("ipv6", "2001:67c:2564:a119::77"),
        ("credit_card", "4111 1111 1111 1111"),
        ("credit_card", "5500-0000-0000-0004"),
        ("credit_card", "378282246310005"),
        ("credit_card", "3782 822463 10005"),
        ("credit_card", "3056 930902 5904"),
        ("iban", "DE89 3704 0044 0532 0130 00"),
        ("iban", "GB82WEST12345698765432"),
        ("iban", "NO93 8601 1117 947"),
        ("us_ssn", "078-05-1120"),
        ("private_key", PEM),
        ("token", "AKIA" + "IOSFODNN7QWERTYU"),
        ("token", "ghp_" + KEY[:36]),
        ("token", "glpat-" + KEY[:20]),
        ("token", "xoxb-" + KEY[:24]),
        ("token", "AIza" + KEY[:35]),
        ("token", "sk-" + KEY),
        ("token", "sk_live_" + KEY[:24]),
        ("token", JWT),
    ],
)
def test_hits(kind: str, hit: str) -> None:
    """Alone, within a sentence, in brackets, in a cell; and by no other kind."""
    tag = f"<{kind.upper()}>"
    rows = [hit, f"See {hit}, or ({hit}).", f"é {hit}\n| {hit} |"]
    assert apply(Redact(), *rows) == [row.replace(hit, tag) for row in rows]
    assert apply(Redact(kinds=(kind,)), *rows) == [row.replace(hit, tag) for row in rows]  # type: ignore[arg-type]
    others = tuple(other for other in Redact().kinds if other != kind)
    assert apply(Redact(kinds=others), hit) == [hit]


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("https://bob:hunter22@db.firm.org/x", "https://<URL_PASSWORD>@db.firm.org/x"),
        ("ping http://8.8.8.8/ and 8.8.4.4:53", "ping http://<IPV4>/ and <IPV4>:53"),
        (f'api_key = "{KEY}"', 'api_key = "<SECRET>"'),
        (f"AWS_SECRET_ACCESS_KEY={KEY}&region=x", "AWS_SECRET_ACCESS_KEY=<SECRET>&region=x"),
        ('"password": "aB3#fG7!kL9&"', '"password": "<SECRET>"'),
        ("Tel.: 6533 6002, Fax 044 826 76 76", "Tel.: <PHONE>, Fax <PHONE>"),
        ("Téléphone : 6533 6002", "Téléphone : <PHONE>"),
        ("mailto:a.b@firm.org?subject=x", "mailto:<EMAIL>?subject=x"),
        ("::ffff:204.152.189.116", "::ffff:<IPV4>"),
        ("a@b.org,c@d.org;e@f.org", "<EMAIL>,<EMAIL>;<EMAIL>"),
    ],
)
def test_in_their_places(text: str, redacted: str) -> None:
    assert apply(Redact(), text, "x", text) == [redacted, "x", redacted]


@pytest.mark.parametrize(
    "text",
    [
        "jane@example.com root@localhost x@mail.example.org a@b icon@2x.png lib@1.2.3.RELEASE git@github.com:me/it @app.route",
        "version 100.2.3.4, v101.20.3.4, Chrome/101.20.3.4, section 4.1.2.3, 1.2.3.4 and 1.2.3.4.5, lib-101.2.3.4, 300.1.2.3",
        "127.0.0.1 10.1.2.100 192.168.0.100 192.0.2.100 255.255.255.0 190.100.0.0 35.100.1.0/24 224.100.0.1",
        "x[::2] a::b 12:34:56 08:00:2b:01:02:03 fe80::1:2 ::1 2001:db8::1:2 std::array 1952:: 3:6::8:16",
        "4111 1111 1111 1112, 9780306406157, 978-0-306-40615-7, 0.4111111111111111, 4111-1111 1111-1111",
        "DE89 3704 0044 0532 0130 01, XX82WEST12345698765432",
        "000-12-3456 666-12-3456 900-12-3456 123-00-4567 123-45-0000 123-45-67890 2019-10-12",
        "-2147483648 to +2147483647, +2.831841311, 1234567890, 2010-2014, 911-555-0123 212-055-0123, 3.14159265358979",
        "<8b> 01 00 00 89 44 24 14; 01 02 03 04 05 06; 12/05/2010; 0x0123456789",
        "d41d8cd98f00b204e9800998ecf8427e sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        'password = "your-password-here1" token: get_token_2_from(x) secret_name=my-secret-name-1 api_key="XXXXXXXXXXXX1"',
        '"eos_token": "<|endoftext|>" max_tokens=100000000000 key_id=0a1b2c3d4e5f6g7h8 password=os.environ["PASSWORD1234"]',
        "postgresql://user:password@db.firm.org/x http://host:8080/a@b postgres://me:Secr3t99@127.0.0.1/x",
        "task-management-for-2020-and-more risk-based-approach-2021-with-care AKIA ghp_short xoxb- eyJhbGciOi",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "-----BEGIN RSA PRIVATE" + " KEY-----\n" + "... " * 20 + "\n-----END RSA PRIVATE" + " KEY-----",
        "Tel Aviv 1234567, hotel 6533600",
    ],
)  # fmt: skip
def test_no_hits(text: str) -> None:
    assert apply(Redact(), text) == [text]


def test_private_addresses_when_asked() -> None:
    text = "10.1.2.100, 192.168.0.100, fe80::1:2, fd00:1:2::3 but not 127.0.0.1 or ::1"
    assert apply(Redact(private_addresses=True), text) == ["<IPV4>, <IPV4>, <IPV6>, <IPV6> but not 127.0.0.1 or ::1"]


def test_replacements_in_turn() -> None:
    step = Redact(
        kinds=("email", "ipv4"), replacements={"email": ("email@example.com", "first@firm.org"), "ipv4": "22.214.171.124"}
    )
    rows = ["a@b.org c@d.org e@f.org 82.50.72.202", "g@h.org"]
    once = apply(step, *rows)
    assert once == ["email@example.com first@firm.org email@example.com 22.214.171.124", "email@example.com"]
    assert apply(step, *once) == once
    assert apply(Redact(replacements={"email": ""}), "write to a@b.org.") == ["write to ."]


def test_replacements_that_cannot_be_meant() -> None:
    with pytest.raises(UsageError, match="replacement of email"):
        Redact(replacements={"email": "ask jane@firm.org"}).bind()
    with pytest.raises(ValidationError, match="no replacement given"):
        Redact(replacements={"email": ()})
    with pytest.raises(ValidationError):
        Redact(kinds=())


def test_counts() -> None:
    redact = Redact().bind()
    redact(pl.Series(["a@b.org c@d.org", "82.50.72.202 e@f.org", "none"]))
    assert redact.counts() == {"email": 3, "ipv4": 1}
    assert redact.counts() == {}


def test_what_goes_frees_its_neighbour() -> None:
    """Between word characters a number is none; the word before it goes, and it is one."""
    text = "jane@firm.org/212-555-0123"
    once = apply(Redact(), text)
    assert apply(Redact(), *once) == once


_HITS = [
    "jane@firm.org", "+49 30 9599 8099", "212-555-0123", "82.50.72.202", "2a01:238:43ed:c300::74", "4111 1111 1111 1111",
    "078-05-1120", "DE89 3704 0044 0532 0130 00", f"api_key={KEY}", JWT, "x://bob:hunter22@db.firm.org", "Tel ", "0", "1.",
    ".", "-", "@", ":", " ", "é", "\u0301", "v",
]  # fmt: skip


@settings(max_examples=400)
@given(st.lists(st.one_of(st.lists(st.sampled_from(_HITS), max_size=8).map("".join), texts), max_size=4))
def test_twice_is_once(rows: list[str]) -> None:
    once = DEFAULT(pl.Series(rows, dtype=pl.String))
    DEFAULT.counts()
    assert DEFAULT(once).to_list() == once.to_list()
    assert DEFAULT.counts() == {}
    assert [DEFAULT(pl.Series([row]))[0] for row in rows] == once.to_list()
    DEFAULT.counts()
