"""Personal data and secrets, put out of sight."""

from __future__ import annotations

import functools
import ipaddress
import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, get_args

from pydantic import Field, field_validator

from curate.declare import Rewrite
from curate.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

__all__ = ["Redact"]

Kind = Literal[
    "email", "phone", "ipv4", "ipv6", "credit_card", "iban", "us_ssn", "url_password", "private_key", "token", "secret"
]

# Which window of `curate.kernels.traces` holds which kinds.
_WINDOWS: dict[str, tuple[Kind, ...]] = {
    "address": ("email",),
    "login": ("url_password",),
    "number": ("ipv4", "credit_card", "us_ssn", "phone"),
    "colons": ("ipv6",),
    "token": ("token",),
    "assignment": ("secret",),
    "key_block": ("private_key",),
    "account": ("iban",),
}
_BEFORE, _AFTER = 24, 40
"""Bytes around a window that decide what it is."""

_EMAIL = re.compile(
    rb"[A-Za-z0-9_][A-Za-z0-9._%+'-]{0,63}@((?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+"
    rb"([A-Za-z]{2,24}|xn--[A-Za-z0-9-]{2,59}))(?![A-Za-z0-9_@-])"
)
# Names that reach nobody (RFC 2606, 6761, 6762), and ends of file names and versions: icon@2x.png, lib@1.2.RELEASE.
_NOBODY = re.compile(
    rb"(?:^|\.)(?:example\.(?:com|net|org|edu)|example|test|invalid|localhost|local|localdomain|internal|lan|png|jpe?g|gif|svg|"
    rb"webp|"
    rb"css|js|mjs|ts|tsx|jsx|json|ya?ml|py|rb|go|html?|md|txt|release|final|snapshot)$",
    re.I,
)
_NUMBER = re.compile(
    rb"""(?P<ipv4>(?<![\w.])(?<![A-Za-z]-)(?:\d{1,3}\.){3}\d{1,3}(?!\w|\.\d|-[A-Za-z]))
    |(?P<credit_card>(?<![\w.+-])(?:
        \d{4}(?P<card>[ -]?)\d{4}(?P=card)\d{4}(?P=card)\d{4}
        |3[47]\d\d(?P<amex>[ -]?)\d{6}(?P=amex)\d{5}
        |3[0689]\d\d(?P<diners>[ -]?)\d{6}(?P=diners)\d{4}
    )(?![\w-]|\.\d))
    |(?P<us_ssn>(?<![\w.+/-])(?!000|666|9)\d{3}-(?!00)\d\d-(?!0000)\d{4}(?![\w-]|\.\d))
    |(?P<phone>
        (?<![\w+])\+(?:\([1-9]\d{0,2}\)|[1-9]\d{0,2})(?:[ ]?\(0\))?+  # the world: +44 20 7946 0018
            (?:(?:[ ./-]|\xc2\xa0){0,2}(?:\(\d++\)|\d++)){1,7}+(?!\w|\.\d)
        |(?<![\w.+/-])(?:1[ .-])?(?:\((?!.11)[2-9]\d\d\)[ ]?|(?!.11)[2-9]\d\d(?P<us>[.-]))  # North America: (212) 555-0123
            [2-9]\d\d(?(us)(?P=us)|[ .-])\d{4}(?![\w-]|\.\d)
        |(?<![\w.+/-])0[1-9](?P<fr>[ .-])\d\d(?:(?P=fr)\d\d){3}(?!\w|[ .-]\d)  # France: 01 23 45 67 89
        |(?<![\w.+/-])0(?:20[ ]\d{4}[ ]\d{4}|[17]\d{3}[ ]\d{6}|1\d\d[ ]\d{3}[ ]\d{4})(?!\w|[ .-]\d)  # United Kingdom
        |(?<![\w.+/-])(?:\(0\d{2,5}\)[ ]?|0\d{2,5}[ ]?/[ ]?)\d{2,8}(?:[ -]\d{1,5}){0,4}+(?![\w/]|\.\d)  # Germany: 030 / 123456
    )""",
    re.X,
)
_CALLED = re.compile(
    r"(?:\b(?:tel|tél|phone|telephone|fon|telefon|telefoon|téléphone|teléfono|telefono|telefone|tlf|fax|telefax|mobile?|mobil|"
    r"handy|gsm|móvil|cellulare|whatsapp)|☎|📞|电话|電話|電話番号)".encode()
    + rb"(?:[ .:)-]|\xc2\xa0){0,4}$",
    re.I,
)
_AFTER_CALL = re.compile(rb"\(?\d{1,5}\)?(?:[ ./-]{1,3}\(?\d{1,8}\)?){0,5}+")
_VERSION = re.compile(rb"(?:\b(?:v|ver|version|release|revision|rev|build|section|chapter)[ .:]*|[A-Za-z]/)$", re.I)
_COUNTRY_CODE = re.compile(
    r"1|7|20|21[12368]|2[2346]\d|25[0-8]|27|29[01789]|3[0-469]|35\d|37[0-8]|38[0-35-79]|4[013-9]|42[013]|5[1-8]|50\d|59\d|6[0-6]|"
    r"67[02-9]|68[0-35-9]|69[0-2]|8[1246]|8[058]\d|870|9[0-58]|96[0-8]|97[1-79]|99[2-68]"
)
"""ITU-T E.164, list of country codes."""
_TOKEN = re.compile(
    rb"""(?:AKIA|ASIA)[A-Z0-9]{16}|gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{22,255}|glpat-[\w-]{20,64}
    |xox[abeprs]-[A-Za-z0-9-]{10,250}|AIza[\w-]{35}|[sr]k_(?:live|test)_[A-Za-z0-9]{16,247}|sk-[\w-]{20,250}
    |hf_[A-Za-z]{34}|npm_[A-Za-z0-9]{36}|pypi-AgE[\w-]{50,250}|SG\.[\w-]{16,64}\.[\w-]{16,64}|dop_v1_[a-f0-9]{64}|ya29\.[\w-]{20,250}
    |eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{16,}""",
    re.X,
)
_LOGIN = re.compile(rb"[^\s:/@]{1,64}:([^\s/@]{1,200})(?=@([A-Za-z0-9.-]+))")
_NO_PASSWORD = re.compile(rb"pass|pwd|secret|token|^x+$|^\W+$", re.I)
_ASSIGNMENT = re.compile(rb"""([\w.-]+)["': ]{0,3}[=:][=>"' ]{0,5}((?:[\w+/=.~!@#$%^*-]|&(?!\w+=)){12,300})""")
_SECRET_NAME = re.compile(
    rb"secret|passw(?:or)?d|passphrase|pwd$|(?:api|access|private|auth|account|storage|encryption|signing|master)[_.-]?key|"
    rb"(?:api|access|auth|refresh|bearer|bot|session|secret)[_.-]?token|^token$",
    re.I,
)
_PLACEHOLDER = re.compile(
    rb"example|your|xxx|\*\*\*|\.\.\.|placeholder|change.?me|dummy|sample|redacted|1234567|abcdef|[${%]|^[<\[]", re.I
)
_WORDS = re.compile(rb"[A-Za-z]+\d{0,6}(?:[-_./:@=]+(?:[A-Za-z]+\d{0,6}|\d{1,6}))*[-_./:=]*")
_KEY_BLOCK = re.compile(
    rb"-----BEGIN ((?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?)-----(?:(?!-----BEGIN ).){40,}?-----END \1-----", re.S
)
_IBAN = re.compile(rb"[A-Z]{2}\d\d(?:[A-Z0-9]{11,30}|(?: [A-Z0-9]{4}){2,7}(?: [A-Z0-9]{1,4})?)(?![A-Za-z0-9])")
_IBAN_LENGTHS = {
    length: set(countries.split())
    for length, countries in {
        15: "NO", 16: "BE", 18: "DK FI FO GL NL SD", 19: "MK SI SK", 20: "AT BA EE KZ LT LU MN XK", 21: "CH HR LI LV UA",
        22: "BG BH CR DE GB GE IE ME RS VA", 23: "AE GI IL IQ OM SO TL", 24: "AD CZ ES MD PK RO SA SE TN VG",
        25: "LY PT ST", 26: "IS TR", 27: "BI DJ FR GR IT MC MR SM", 28: "AL AZ BY CY DO EG GT HU LB NI PL SV",
        29: "BR PS QA UA", 30: "JO KW MU", 31: "MT SC", 33: "RU",
    }.items()
}  # fmt: skip
"""The SWIFT registry of IBANs: length by country."""


def _digits(text: bytes) -> str:
    return re.sub(rb"[^0-9]", b"", text).decode()


def _luhn(digits: str) -> bool:
    """The check digit of ISO/IEC 7812-1."""
    doubled = [sum(divmod(2 * int(d), 10)) for d in digits[-2::-2]]
    return (sum(doubled) + sum(map(int, digits[-1::-2]))) % 10 == 0


def _is_card(text: bytes) -> bool:
    """A number of Visa, Mastercard, American Express, Discover, JCB or Diners, by its first digits and the check digit."""
    digits = _digits(text)
    issuer = re.match(
        r"4|5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720|3[47]|35(?:2[89]|[3-8])|6011|64[4-9]|65|30[0-5]|3[689]", digits
    )
    return issuer is not None and _luhn(digits)


def _is_iban(text: bytes) -> bool:
    """Length by country, and the check digits of ISO 7064 (mod 97-10)."""
    account = text.replace(b" ", b"").decode()
    if account[:2] not in _IBAN_LENGTHS.get(len(account), ()):
        return False
    return int("".join(str(int(char, 36)) for char in account[4:] + account[:4])) % 97 == 1


def _is_phone(text: bytes) -> bool:
    """Of a number that is written as one: whether the country has such numbers, and it is no longer than E.164 allows."""
    if not text.startswith(b"+"):
        return len(_digits(text)) >= 9
    digits = _digits(text.replace(b"(0)", b""))
    code = _COUNTRY_CODE.match(digits)
    decimal = re.fullmatch(rb"\+\d+\.\d+", text) is not None
    if code is None or len(set(digits)) < 3 or decimal or (len(digits) < 10 and re.fullmatch(rb"\+\d+", text)):
        return False
    if code[0] == "1":
        return re.fullmatch(r"1[2-9]\d\d[2-9]\d{6}", digits) is not None
    return 8 <= len(digits) <= 15 and len(digits) - len(code[0]) >= 6


def _in_bytes(before: bytes, after: bytes) -> bool:
    """Whether a number in pairs of digits stands among more such pairs: a dump of bytes, a row of a table."""
    return (
        re.search(rb"(?<!\w)[0-9a-f]{2}[ .-]$", before, re.I) is not None
        or re.match(rb"[ .-]{1,2}[0-9a-f]{2}(?!\w)", after, re.I) is not None
    )


def _is_address(text: bytes, before: bytes, after: bytes, private: bool) -> bool:
    """An IPv4 address, rather than a version or the number of a section.

    98 % of addresses have a part of three digits; versions seldom have. The others must look like a host.
    """
    if _VERSION.search(before):
        return False
    as_host = before.endswith((b"//", b"@")) or re.match(rb":\d", after) is not None
    network = text.endswith((b".0", b".255")) or re.match(rb"/(?:[0-9]|[12][0-9]|3[01])(?!\w)", after) is not None
    return (as_host or re.search(rb"\d{3}", text) is not None) and not network and _is_reachable(text, private)


def _is_reachable(text: bytes, private: bool) -> bool:
    """One host's address; of IPv6 those of 2000::/3 in three groups or more, and private ones: `x[1::2]` has its form too."""
    try:
        address = ipaddress.ip_address(text.decode())
    except ValueError:
        return False
    if address.is_unspecified or address.is_loopback or address.is_multicast:
        return False
    if address.version == 4:
        return private or address.is_global
    first = re.match(rb"([23]|f[cde])[0-9a-f]{2,3}:", text, re.I)
    return (
        first is not None
        and len(re.findall(rb"[^:]+", text)) > 2
        and (address.is_global or (private and first[1] not in b"23"))
    )


def _is_host(name: bytes) -> bool:
    """A name that may be reached from elsewhere."""
    return b"." in name and not _NOBODY.search(name) and not name.startswith(b"127.")


def _is_email(text: bytes, host: bytes, before: bytes) -> bool:
    """Somebody's, rather than the login of a URL or of a repository."""
    login = re.search(rb"://[^\s/@]*:$", before) is not None or text.lower().startswith(b"git@")
    return not login and not _NOBODY.search(host)


def _entropy(text: bytes) -> float:
    """Shannon's, in bits a byte."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())


def _is_random(value: bytes, least: float = 3.5) -> bool:
    """A value that nobody would choose: letters and digits, no words joined, no placeholder; 3.5 bits as gitleaks has it."""
    return not _PLACEHOLDER.search(value) and not _WORDS.fullmatch(value) and _entropy(value) >= least


def _in_number(chunk: bytes, lead: int, end: int, private: bool) -> Iterator[tuple[int, int, Kind]]:
    last = lead
    for match in _NUMBER.finditer(chunk, lead, end + 3):
        if match.start() >= end:
            break
        text, kind = match[0], match.lastgroup
        # Not all that stands around: a window may be a table of a megabyte.
        before, after = chunk[max(match.start() - _BEFORE, 0) : match.start()], chunk[match.end() : match.end() + _BEFORE]
        if kind == "ipv4" and _is_address(text, before, after, private):
            yield match.start(), match.end(), "ipv4"
        elif kind == "credit_card" and _is_card(text):
            yield match.start(), match.end(), "credit_card"
        elif kind == "us_ssn":
            yield match.start(), match.end(), "us_ssn"
        elif kind == "phone" and _is_phone(text) and not _in_bytes(before, after):
            yield match.start(), match.end(), "phone"
        else:
            continue
        last = match.end()
    if last == lead and _CALLED.search(chunk[:lead]):
        called = _AFTER_CALL.match(chunk, lead)
        if called and 7 <= len(_digits(called[0])) <= 15 and len(set(_digits(called[0]))) > 2 and called.end() >= end:
            yield called.start(), called.end(), "phone"


def _in_window(window: str, chunk: bytes, lead: int, end: int, private: bool) -> Iterator[tuple[int, int, Kind]]:
    """The hits in `chunk[lead:end]`; around them stands what decides."""
    match window:
        case "number":
            yield from _in_number(chunk, lead, end, private)
        case "address":
            found = _EMAIL.search(chunk, lead)
            if found and found.end() <= end and _is_email(found[0], found[1], chunk[: found.start()]):
                yield found.start(), found.end(), "email"
        case "login":
            found = _LOGIN.match(chunk, lead)
            if found and not _NO_PASSWORD.search(found[1]) and not _PLACEHOLDER.search(found[0]) and _is_host(found[2]):
                yield found.start(), found.end(), "url_password"
        case "colons":
            text = chunk[lead:end].rstrip(b".:") if not chunk[lead:end].endswith(b"::") else chunk[lead:end]
            if chunk[end : end + 1].isalnum():
                return
            if _is_reachable(text, private):
                yield lead, lead + len(text), "ipv6"
        case "token":
            found = _TOKEN.match(chunk, lead)
            if found and not re.search(rb"EXAMPLE|xxxx|(.)\1{7}", found[0]) and _is_random(found[0], 3.0):
                yield found.start(), found.end(), "token"
        case "assignment":
            found = _ASSIGNMENT.match(chunk, lead)
            if found and _SECRET_NAME.search(found[1]) and not found[1].lower().endswith(b"id") and _is_random(found[2]):
                yield found.start(2), found.end(2), "secret"
        case "key_block":
            found = _KEY_BLOCK.match(chunk, lead)
            if found and re.search(rb"[A-Za-z0-9+/=]{40}", found[0]):
                yield found.start(), found.end(), "private_key"
        case "account":
            found = _IBAN.match(chunk, lead)
            if found and _is_iban(found[0]):
                yield found.start(), found.end(), "iban"


class Redact(Rewrite):
    """Replace personal data and secrets: addresses, numbers and keys that can be told by their form.

    Numbers with check digits are checked (credit cards: Luhn; IBAN: mod 97), others go by the plans that they follow:
    telephone numbers with a country code (E.164); North American, French, British and German ones in their usual layouts; any
    other after "Tel." and the like; US social security numbers by their valid ranges. What documentation uses stays:
    example.com, 192.0.2.1. So do version numbers, digests, and names or placeholders given to a password. Names of people and
    street addresses cannot be told by form, and stay. What was put in a place is not replaced again. How many were replaced,
    by kind, stands in `stats.json` under `step_counts`.

    Comes right after `unicode` and `whitespace`: filters write down what they drop, and that should hold nothing of anybody.

    FineWeb replaced e-mail and public IPv4 addresses (datatrove `PIIFormatter`); StarCoder (arXiv 2305.06161) put tags like
    these. A kernel names short windows, and only these are looked at: O(bytes) and some microseconds for each window.
    """

    step: Literal["redact"] = "redact"
    kinds: tuple[Kind, ...] = Field(
        get_args(Kind),
        min_length=1,
        description="What to replace: email; phone; ipv4 and ipv6; credit_card; iban; us_ssn; url_password (`user:password` of "
        "a URL); private_key (PEM blocks); token (keys of well-known services, JSON Web Tokens); secret (random values given "
        "to names like api_key or password).",
    )
    replacements: dict[Kind, str | tuple[str, ...]] = Field(
        {},
        description="What to put in place, by kind; of several the first for the first of a text, and so on in turn. Default: "
        "the kind in capitals and angle brackets, `<EMAIL>`. FineWeb has email@example.com and firstname.lastname@example.org.",
    )
    private_addresses: bool = Field(
        False,
        description="Replace private and reserved IP addresses too (10.0.0.1, fe80::1). They tell nothing of a person: FineWeb "
        "keeps them.",
    )

    @field_validator("replacements")
    @classmethod
    def _some(cls, replacements: dict[Kind, str | tuple[str, ...]]) -> dict[Kind, str | tuple[str, ...]]:
        for kind, values in replacements.items():
            if values == ():
                raise ValueError(f'{kind}: no replacement given; an empty string takes the hit out: "{kind}": [""]')
        return replacements

    def bind(self) -> _Redactor:
        redactor = _Redactor(self)
        redactor.check()
        return redactor


class _Redactor:
    """Series -> series; `counts()` says how many were replaced since the last call, by kind."""

    def __init__(self, step: Redact) -> None:
        from curate.kernels.traces import TRACES

        self._step = step
        self._kinds = frozenset(step.kinds)
        self._windows = TRACES
        self._wanted = sum(1 << i for i, window in enumerate(TRACES) if self._kinds.intersection(_WINDOWS[window]))
        self._values: dict[str, tuple[str, ...]] = {}
        for kind in step.kinds:
            given = step.replacements.get(kind, f"<{kind.upper()}>")
            self._values[kind] = (given,) if isinstance(given, str) else given
        self._ours = frozenset(value.encode() for values in self._values.values() for value in values)
        self._counts: Counter[str] = Counter()

    def counts(self) -> dict[str, int]:
        taken = dict(sorted(self._counts.items()))
        self._counts.clear()
        return taken

    def check(self) -> None:
        """Raises UsageError for a replacement that would be replaced in its turn."""
        import polars as pl

        for kind, values in self._values.items():
            series = pl.Series([f" {value} " for value in values], dtype=pl.String)
            if (self._once(series) != series).any():
                raise UsageError(f"redact: the replacement of {kind} holds what would be replaced itself; choose another")
        self._counts.clear()

    def __call__(self, texts: pl.Series) -> pl.Series:
        # What goes may leave its neighbours free to be told: again, until there is nothing more. Each time text goes for good.
        result = self._once(texts)
        left = (result != texts).arg_true()
        while left.len():
            before = result.gather(left)
            after = self._once(before)
            result = result.scatter(left, after)
            left = left.filter(after != before)
        return result

    def _once(self, texts: pl.Series) -> pl.Series:
        import numpy as np

        from curate.analysis import text_buffers
        from curate.kernels.traces import traces

        offsets, data = text_buffers(texts)
        found = traces(offsets, data, self._wanted)
        view, bounds = data.data, offsets
        hits: list[tuple[int, int, Kind, int]] = []
        firsts = np.maximum(found.starts - _BEFORE, bounds[found.documents]).tolist()
        lasts = np.minimum(found.ends + _AFTER, bounds[found.documents + 1]).tolist()
        columns = (found.documents.tolist(), found.kinds.tolist(), found.starts.tolist(), found.ends.tolist(), firsts, lasts)
        look = functools.partial(_in_window, private=self._step.private_addresses)
        for document, window, start, end, first, last in zip(*columns, strict=True):
            chunk = bytes(view[first:last])
            for a, b, kind in look(self._windows[window], chunk, start - first, end - first):
                if kind in self._kinds and chunk[a:b] not in self._ours:
                    hits.append((first + a, first + b, kind, document))
        if not hits:
            return texts
        return self._replaced(hits, offsets, data)

    def _replaced(
        self, hits: list[tuple[int, int, Kind, int]], offsets: NDArray[np.int64], data: NDArray[np.uint8]
    ) -> pl.Series:
        """The texts with their hits replaced; of those that overlap the first, and of these the longest."""
        import numpy as np
        import polars as pl

        from curate.analysis import text_buffers
        from curate.kernels.columns import strings
        from curate.kernels.edits import replace_spans

        hits.sort(key=lambda hit: (hit[0], -hit[1]))
        starts: list[int] = []
        ends: list[int] = []
        values: list[str] = []
        turn: Counter[tuple[int, str]] = Counter()
        for start, end, kind, document in hits:
            if ends and start < ends[-1]:
                continue
            starts.append(start)
            ends.append(end)
            choice = self._values[kind]
            values.append(choice[turn[document, kind] % len(choice)])
            turn[document, kind] += 1
            self._counts[kind] += 1
        spans = np.array(starts, np.int64), np.array(ends, np.int64)
        done = replace_spans(offsets, data, *spans, text_buffers(pl.Series(values, dtype=pl.String)))
        return pl.Series(strings(*done), dtype=pl.String)
