"""Texts of every sort that a corpus holds: what steps must take without surprise."""

from __future__ import annotations

from hypothesis import strategies as st

PROSE = (
    "The committee met on Tuesday to discuss the results of the survey, which had been sent to every household in the "
    "district. Most of those who answered were content with the new timetable. A few asked that the late bus be kept, "
    "because it is the only one that people who work in the evening can take home.\n\nThe chair thanked all members. "
)

TEXTS: tuple[str, ...] = (
    "",
    " ",
    "\n\n\n",
    "\t \u00a0\u2003\u3000",
    "a",
    "Hello, world.",
    "no capital letters and no full stop",
    "ALL CAPITALS! REALLY? YES!!!",
    PROSE,
    PROSE * 20,
    "the same line again\n" * 50,
    "one\r\ntwo\rthree\n",
    "trailing   \n  leading\n\n\n\n\nblank lines  ",
    "tab\tseparated\tvalues\n1\t2\t3\n",
    "control \x01\x02\x1b[31mred\x1b[0m \x7f \u0085 \u2028 \u2029 end",
    "zero\u200bwidth\u200d \ufeffmarks\u2060 \u00ad soft",
    "caf\u00e9 cafe\u0301 \ufb01ne \u2460 \uff21\uff22",
    "schÃ¶n, donâ€™t; Ã© and &amp; &lt;b&gt; &nbsp;",
    "<p>Markup &amp; <a href='x'>links</a></p>",
    "Straße, naïve façade, Ærøskøbing, ĲSSELMEER, İstanbul",
    "Съешь же ещё этих мягких французских булок, да выпей чаю. " * 5,
    "これは日本語の文章です。句読点もあります。\n改行もあります。" * 5,
    "这是一个中文句子。没有空格。" * 10,
    "هذا نص عربي قصير للاختبار. " * 5,
    "\u0e20\u0e32\u0e29\u0e32\u0e44\u0e17\u0e22 ไม่มีช่องว่าง",
    "हिन्दी में एक वाक्य। " * 5,
    "👩‍👩‍👧‍👦 🇩🇪 👍🏽 emoji \U0001f600",
    "a\u0300\u0301\u0302\u0303" * 20,
    "def f(x):\n    return {k: v for k, v in x.items() if v is not None}\n" * 5,
    "https://example.org/a?b=c#d mail@example.org 127.0.0.1 +49 30 123456",
    "lorem ipsum dolor sit amet, consectetur adipiscing elit",
    "javascript must be enabled { } terms of use cookie policy",
    "- one\n- two\n* three\n• four\n1. five\n",
    "Read more...\nShare on\nClick here…\n",
    "1234567890 " * 30,
    "x" * 5000,
    "word " * 3000,
    "\U0010ffff \ue000 \ufffd",
    '"quotes" \\backslashes\\ \\n \\u0041 {braces} $1 ${name}',
)


def texts() -> st.SearchStrategy[str]:
    """Any text that UTF-8 can hold, and the odd ones of `TEXTS` glued together."""
    odd = st.sampled_from([t[:200] for t in TEXTS])
    free = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
    lines = st.text("ab .\n\r\t\u00a0\u200b\u0301\u00e9é&;Ã", max_size=60)
    return st.one_of(free, odd, lines, st.tuples(odd, free, odd).map("".join))
