"""What spaCy 3.8's English tokenizer knows: classes of characters, units and currencies, and words of more than one token.

These are facts of spaCy (MIT licence; `lang/char_classes.py`, `lang/punctuation.py`, `lang/en/tokenizer_exceptions.py`,
`pipeline/sentencizer.pyx`), in a form of our own; a test compares each with the installed spaCy. `curate.kernels.tokens`
reads them. Sets that follow Unicode's categories there do so here; lists that follow an older Unicode are spelt out.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from curate.kernels.characters import SYMBOLS, among, categories, codes, ranges, two_stage

__all__ = ["AFTER_DIGIT", "SENTENCE_ENDS", "characters", "exceptions"]

# Bits of `characters`; `curate.kernels.tokens` has the same numbers.
SPACE, ALPHABETIC, NOT_SYMBOL, NOT_PUNCT, DIGIT, LOWER, UPPER, ALPHA, PREFIX, SUFFIX, INFIX, QUOTE, BEFORE_DOT, SLOW, HOST = (
    1 << bit for bit in range(15)
)
END, WORD, BREAK, NOT_DIGIT = 1 << 15, 1 << 16, 1 << 17, 1 << 18

_PUNCT = "…,:;!?¿؟¡()[]{}<>_#*&。？！，、；：～·।،۔؛٪"
_QUOTES = "'\"”“`‘´’‚,„»«「」『』（）〔〕【】《》〈〉\u2329\u232a⟦⟧"
_CURRENCY = "$£€¥฿₽﷼₴" + "".join(map(chr, range(0x20A0, 0x20C0)))
# Of the characters with a case, those of ALPHA; there, lower and upper follow Unicode, but for U+0294 and U+03A2.
_CASED = """
41-5a 61-7a c0-d6 d8-f6 f8-1bf 1c4-2af 386 388-38a 38c 38e-38f 391-3a9 3ac-3af 3b1-3c9 3cc-3ce 400-401 403-40a 40c-40d
410-451 453-45a 45c-45d 490-491 496-497 4a2-4a3 4ae-4af 4ba-4bb 4d8-4d9 4e8-4e9 1d00-1d25 1d6b-1d77 1d79-1d9a
1e00-1eff 2c60-2c7b 2c7e-2c7f a722-a76f a771-a787 a78b-a78e a790-a7b9 a7fa ab30-ab5a ab60-ab64 ff21-ff3a ff41-ff5a
"""
_UNCASED = """
591-5f4 620-64a 66e-6d5 6e5-6ff 750-77f 8a0-8bd 900-9ff b80-cff d80-dff 1100-137f 2e80-2fdf 2ff0-30ff 31c0-31ef
3200-4dbf 4e00-9fff ac00-d7af f900-faff fb1d-fbb1 fbd3-fd3d fd50-fdc7 fdf0-fdfb fe30-fe4f fe70-fefc 1ee00-1eebb
1f200-1f2ff 20000-2a6df 2a700-2ebef 2f800-2fa1f
"""
# Category So of Unicode 11, nearly.
_ICONS = """
a6 a9 ae b0 482 58d-58e 60e-60f 6de 6e9 6fd-6fe 7f6 9fa b70 bf3-bf8 bfa c7f d4f d79 f01-f03 f13 f15-f17 f1a-f1f f34
f36 f38 fbe-fc5 fc7-fcc fce-fcf fd5-fd8 109e-109f 1390-1399 1940 19de-19ff 1b61-1b6a 1b74-1b7c 2100-2101 2103-2106
2108-2109 2114 2116-2117 211e-2123 2125 2127 2129 212e 213a-213b 214a 214c-214d 214f 218a-218b 2195-2199 219c-219f
21a1-21a2 21a4-21a5 21a7-21ad 21af-21cd 21d0-21d1 21d3 21d5-21f3 2300-2307 230c-231f 2322-2328 232b-237b 237d-239a
23b4-23db 23e2-2426 2440-244a 249c-24e9 2500-25b6 25b8-25c0 25c2-25f7 2600-266e 2670-2767 2794-27bf 2800-28ff
2b00-2b2f 2b45-2b46 2b4d-2b73 2b76-2b95 2b98-2bc8 2bca-2bfe 2ce5-2cea 2e80-2e99 2e9b-2ef3 2f00-2fd5 2ff0-2ffb 3004
3012-3013 3020 3036-3037 303e-303f 3190-3191 3196-319f 31c0-31e3 3200-321e 322a-3247 3250 3260-327f 328a-32b0
32c0-32fe 3300-33ff 4dc0-4dff a490-a4c6 a828-a82b a836-a837 a839 aa77-aa79 fdfd ffe4 ffe8 ffed-ffee fffc-fffd
10137-1013f 10179-10189 1018c-1018e 10190-1019b 101a0 101d0-101fc 10877-10878 10ac8 1173f 16b3c-16b3f 16b45 1bc9c
1d000-1d0f5 1d100-1d126 1d129-1d164 1d16a-1d16c 1d183-1d184 1d18c-1d1a9 1d1ae-1d1e8 1d200-1d241 1d245 1d300-1d356
1d800-1d9ff 1da37-1da3a 1da6d-1da74 1da76-1da83 1da85-1da86 1ecac 1f000-1f02b 1f030-1f093 1f0a0-1f0ae 1f0b1-1f0bf
1f0c1-1f0cf 1f0d1-1f0f5 1f110-1f16b 1f170-1f1ac 1f1e6-1f202 1f210-1f23b 1f240-1f248 1f250-1f251 1f260-1f265
1f300-1f3fa 1f400-1f6d4 1f6e0-1f6ec 1f6f0-1f6f9 1f700-1f773 1f780-1f7d8 1f800-1f80b 1f810-1f847 1f850-1f859
1f860-1f887 1f890-1f8ad 1f900-1f90b 1f910-1f93e 1f940-1f970 1f973-1f976 1f97a 1f97c-1f9a2 1f9b0-1f9b9 1f9c0-1f9c2
1f9d0-1f9ff 1fa60-1fa6d
"""
_SENTENCE_ENDS = """
21 2e 3f 589 61f 6d4 700-702 7f9 964-965 104a-104b 1362 1367-1368 166e 1735-1736 1803 1809 1944-1945 1aa8-1aab
1b5a-1b5b 1b5e-1b5f 1c3b-1c3c 1c7e-1c7f 203c-203d 2047-2049 2e2e 2e3c 3002 a4ff a60e-a60f a6f3 a6f7 a876-a877 a8ce-a8cf
a92f a9c8-a9c9 aa5d-aa5f aaf0-aaf1 abeb fe52 fe56-fe57 ff01 ff0e ff1f ff61 10a56-10a57 11047-11048 110be-110c1
11141-11143 111c5-111c6 111cd 111de-111df 11238-11239 1123b-1123c 112a9 1144b-1144c 115c2-115c3 115c9-115d7
11641-11642 1173c-1173e 11a42-11a43 11a9b-11a9c 11c41-11c42 16a6e-16a6f 16af5 16b37-16b38 16b44 1bc9f 1da88
"""
SENTENCE_ENDS = "".join(map(chr, ranges(_SENTENCE_ENDS)))
"""The characters that end a sentence for spaCy's sentencizer."""

_UNITS = """
km km² km³ m m² m³ dm dm² dm³ cm cm² cm³ mm mm² mm³ ha µm nm yd in ft kg g mg µg t lb oz m/s km/h kmh mph hPa Pa mbar mb MB kb
KB gb GB tb TB T G M K % км км² км³ м м² м³ дм дм² дм³ см см² см³ мм мм² мм³ нм кг г мг м/с км/ч кПа Па мбар Кб КБ кб Мб МБ мб
Гб ГБ гб Тб ТБ тбكم كم² كم³ م م² م³ سم سم² سم³ مم مم² مم³ كم غرام جرام جم كغ ملغ كوب اكواب
"""
# One of these at the end, right behind an ASCII digit, is a token of its own. A Cyrillic and an Arabic unit stand there glued.
AFTER_DIGIT = (*_CURRENCY, "US$", "C$", "A$", *_UNITS.split())


@functools.cache
def characters() -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint32]]:
    """The two-stage table of the bits of every code point."""
    code, kind = codes(), categories()
    major = kind.astype("S1")
    uncased, cased, icons = (np.isin(code, ranges(text)) for text in (_UNCASED, _CASED, _ICONS))
    punct, quotes = among(_PUNCT), among(_QUOTES)
    ascii_letter = among("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
    digit = among("0123456789")
    lower = uncased | (cased & ((kind == b"Ll") | (code == 0x294)))
    bits = {
        SPACE: np.fromiter((chr(c).isspace() for c in code.tolist()), np.bool_, len(code)),
        ALPHABETIC: major == b"L",
        NOT_SYMBOL: ~among(SYMBOLS),
        NOT_PUNCT: major != b"P",
        DIGIT: digit,
        LOWER: lower,
        UPPER: uncased | (cased & ((kind == b"Lu") | (code == 0x3A2))),
        ALPHA: uncased | cased,
        PREFIX: punct | quotes | icons | among("§%=—–" + _CURRENCY),
        SUFFIX: punct | quotes | icons | among("—–"),
        INFIX: icons | among("…"),
        QUOTE: quotes,
        BEFORE_DOT: digit | lower | punct | quotes | among("%²-+|"),
        HOST: digit | ascii_letter | ((code >= 0xA1) & (code <= 0xFFFF)),
        END: among(SENTENCE_ENDS),
        WORD: np.fromiter((chr(c).isalnum() for c in code.tolist()), np.bool_, len(code)),
        NOT_DIGIT: ~digit,
        BREAK: among("\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"),
    }
    bits[SLOW] = bits[PREFIX] | bits[SUFFIX] | bits[INFIX] | among(".+-*^~/@")
    flags = np.zeros(len(code), np.uint32)
    for bit, has in bits.items():
        flags |= np.where(has, np.uint32(bit), np.uint32(0))
    index, blocks = two_stage(flags, NOT_SYMBOL | NOT_PUNCT | NOT_DIGIT)
    return index, blocks.astype(np.uint32, copy=False)


def _contractions() -> Iterator[tuple[str, ...]]:
    """Words cut at their apostrophes, in lower case."""
    for subject in ("i", "you", "he", "she", "it", "we", "they"):
        for verb in ("'ll", "'d"):
            yield subject, verb
            yield subject, verb, "'ve"
        more = {"i": ("'ve", "'m"), "he": ("'s",), "she": ("'s",), "it": ("'s",)}
        yield from ((subject, verb) for verb in more.get(subject, ("'ve", "'re")))
    yield "i", "'m", "a"
    for word in ("who", "what", "when", "where", "why", "how", "there", "that", "this", "these", "those"):
        for verb in ("'ll", "'d"):
            yield word, verb
            yield word, verb, "'ve"
        if word not in ("these", "those"):
            yield word, "'s"
        if word not in ("that", "this"):
            yield word, "'re"
            yield word, "'ve"
    modal = ("could", "might", "must", "should", "would")
    for verb in (*modal, "ca", "do", "does", "did", "had", "may", "need", "ought", "sha", "wo"):
        yield verb, "n't"
        yield verb, "n't", "'ve"
    yield from ((verb, "'ve") for verb in modal)
    yield from ((verb, "n't") for verb in ["ai", "are", "is", "was", "were", "have", "has", "dare"])


_WHOLE = r"""
' \") <space> '' C++ \t \n — ä. ö. ü. em 'em ll 'll nuff 'nuff 'S 's ‘S ‘s 're 'd and/or w/o 'Cause 'cause 'cos 'Cos
'coz 'Coz 'cuz 'Cuz 'bout ma'am Ma'am o'clock O'clock Mt. Ak. Ala. Apr. Ariz. Ark. Aug. Calif. Colo. Conn. Dec. Del.
Feb. Fla. Ga. Ia. Id. Ill. Ind. Jan. Jul. Jun. Kan. Kans. Ky. La. Mar. Mass. Mich. Minn. Miss. N.C. N.D. N.H. N.J.
N.M. N.Y. Neb. Nebr. Nev. Nov. Oct. Okla. Ore. Pa. S.C. Sep. Sept. Tenn. Va. Wash. Wis. a.m. Adm. Bros. co. Co. Corp.
D.C. Dr. e.g. E.g. E.G. Gen. Gov. i.e. I.e. I.E. Inc. Jr. Ltd. Md. Messrs. Mo. Mont. Mr. Mrs. Ms. p.m. Ph.D. Prof.
Rep. Rev. Sen. St. vs. v.s. :) :-) :)) :-)) :))) :-))) (: (-: =) (= :] :-] [: [-: [= =[ =] :o) (o: :} :-} 8) 8-) (-8
;) ;-) (; (-; :( :-( :(( :-(( :((( :-((( ): )-: =( >:( :') :'-) :'( :'-( :/ :-/ =/ =| :| :-| ]= :1 :P :-P :p :-p :O
:-O :o :-o :0 :-0 :() >:o :* :-* :3 :-3 =3 :> :-> :X :-X :x :-x :D :-D ;D ;-D =D xD XD xDD XDD 8D 8-D ^_^ ^__^ ^___^
>.< >.> <.< ._. ;_; -_- -__- v.v V.V v_v V_V o_o o_O O_o O_O 0_o o_0 0_0 o.O O.o O.O o.o 0.0 o.0 0.o @_@ <3 <33 <333
</3 (^_^) (-_-) (._.) (>_<) (*_*) (¬_¬) ಠ_ಠ ಠ︵ಠ (ಠ_ಠ) ¯\(ツ)/¯ (╯°□°）╯︵┻━┻ ><(((*>
"""
_CUT = (
    "y' all|y all|how 'd 'y|How 'd 'y|not 've|not ve|Not 've|Not ve|can not|Can not|gon na|Gon na|got ta|Got ta|let 's|Let 's|"
    "c'm on|C'm on"
)
_PLAIN = "Ill ill Its its Hell hell Shell shell Shed shed were Were Well well Whore whore"


@functools.cache
def exceptions() -> dict[str, tuple[str, ...]]:
    """Strings without white space that are always cut (or left whole) in the same way, with their pieces."""
    found: set[tuple[str, ...]] = {tuple(text.split()) for text in _CUT.split("|")}
    found |= {(text,) for text in _WHOLE.split()} | {(f"{letter}.",) for letter in "abcdefghijklmnopqrstuvwxyz"}
    for word in ["doin", "goin", "nothin", "nuthin", "ol", "somethin", "lovin", "havin"]:
        found |= {(text,) for text in (word, word + "'", word.title(), word.title() + "'")}
    for pieces in _contractions():
        for first in (pieces[0], pieces[0].title()):
            cut = (first, *pieces[1:])
            found |= {cut, tuple(piece.replace("'", "") for piece in cut)}
    found |= {(str(hour), half) for hour in range(1, 13) for half in ("am", "a.m.", "pm", "p.m.")}
    found |= {("°", unit, ".") for unit in "cfkCFK"}
    found |= {tuple(piece.replace("'", "’") for piece in pieces) for pieces in found}
    return {text: pieces for pieces in sorted(found) if (text := "".join(pieces)) not in _PLAIN.split()}
