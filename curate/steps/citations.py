"""Citation and edit marks, as encyclopedias leave them in their text."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from curate.declare import Rewrite

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Citations"]

# What Wikipedias put in brackets, in lower case: edit links, calls for sources, doubts.
_MARKS = {
    "en": "edit|edit source|citation needed|better source needed|additional citation(?:\\(s\\)|s)? needed|"
    "full citation needed|clarification needed|original research\\?|dubious|dubious – discuss|disputed – discuss|"
    "failed verification|verification needed|unreliable source\\?|needs update|page needed|by whom\\?|according to whom\\?|"
    "who\\?|when\\?|where\\?|which\\?|why\\?|how\\?|vague|permanent dead link|dead link|circular reference|"
    "non-primary source needed|quantify|example needed|attribution needed|weasel words|peacock prose|sic",
    "de": "bearbeiten|quelltext bearbeiten|bearbeiten \\| quelltext bearbeiten|verbergen|anzeigen",
    "fr": "modifier|modifier le code|modifier \\| modifier le code|réf\\. nécessaire|référence nécessaire|"
    "réf\\. souhaitée|réf\\. à confirmer|source insuffisante|non neutre|pas clair|précision nécessaire|"
    "quand \\?|qui \\?|où \\?|par qui \\?|pourquoi \\?|citation nécessaire",
    "es": "editar|editar código|cita requerida|¿quién\\?|¿cuándo\\?|¿cuál\\?|¿dónde\\?|aclaración requerida",
    "it": "modifica|modifica wikitesto|modifica \\| modifica wikitesto|senza fonte|non chiaro|citazione necessaria",
    "nl": "bewerken|brontekst bewerken|bewerken \\| brontekst bewerken|bron\\?",
    "pt": "editar código-fonte|editar \\| editar código-fonte|carece de fontes|carece de fontes\\?|necessário esclarecer",
    "pl": "edytuj|edytuj kod|potrzebny przypis|styl do poprawy",
    "sv": "redigera|redigera wikitext|källa behövs",
    "ru": "править|править код|источник не указан \\d+ дней|уточнить",
    "ja": "編集|要出典|ソースを編集",
    "zh": "编辑|編輯|來源請求|来源请求",
}
_NOTE = r"(?:note|notes|nota|noot|not|nb|n|anm|anm\.|anmerkung|a|uw|注|註|注釈|注解)[ \u00a0]?\d{1,3}"
_NUMBER = r"[1-9]\d{0,2}"


class Citations(Rewrite):
    """Take out the citation and edit marks of encyclopedias: `[12]`, `[note 3]`, `[edit]`, `[citation needed]`.

    Those of the English, German, French, Spanish, Italian, Dutch, Portuguese, Polish, Swedish, Russian, Japanese and Chinese
    Wikipedias, with the blank before them that is one too many then; a line that held nothing else goes. C4 takes out `[]`,
    `[1]`, `[edit]` and `[citation needed]` wherever they stand. Here they stay where they mean something else: in blocks of
    code and between backticks, in Markdown links (`[1](...)`, `[text][1]`, `[1]: ...`), within other brackets, and numbers
    that are entries of a list of references or an index (`sys.argv[1]`, `sshd[430]:`); `Param[3]` at the end of a line cannot
    be told from a citation. `[]` and `[0]` are none. O(bytes).
    """

    step: Literal["citations"] = "citations"
    releases_gil: ClassVar[bool] = True
    numbers: bool = Field(True, description="Take out bare numbers, `[12]`; false where they mean something, as in papers.")

    def bind(self) -> Callable[[pl.Series], pl.Series]:
        import numpy as np
        import polars as pl

        from curate.analysis import text_buffers
        from curate.kernels.brackets import brackets
        from curate.kernels.columns import strings
        from curate.kernels.edits import drop_lines, replace_spans, take_spans
        from curate.kernels.line_kinds import code_lines, line_measures
        from curate.kernels.lines import lines

        names = "|".join([*_MARKS.values(), _NOTE])
        named = rf"(?i)^(?:\[[ \u00a0]*(?:{names})[ \u00a0]*\])+$"
        every = rf"(?i)^(?:\[[ \u00a0]*(?:{names}|{_NUMBER})[ \u00a0]*\])+$" if self.numbers else named

        def rewrite(texts: pl.Series) -> pl.Series:
            # Most documents hold no bracket; searching for one is many times quicker than cutting lines.
            which = texts.str.contains("[", literal=True).arg_true()
            if not which.len():
                return texts
            offsets, data = text_buffers(texts.gather(which))
            found = lines(offsets, data)
            runs = brackets(found, data, code_lines(found, data))
            run = pl.Series(strings(*take_spans(data, runs.starts, runs.ends)), dtype=pl.String)
            marks = np.where(runs.no_number, run.str.contains(named).to_numpy(), run.str.contains(every).to_numpy())
            if not marks.any():
                return texts
            words_before = line_measures(found, data).words
            starts, ends = runs.cut_starts[marks], runs.cut_ends[marks]
            starts[1:] = np.maximum(starts[1:], ends[:-1])  # the blank between two marks is of both
            nothing = np.zeros(len(starts) + 1, np.int64), np.empty(0, np.uint8)
            offsets, data = replace_spans(offsets, data, starts, ends, nothing)
            left = lines(offsets, data)
            emptied = (words_before > 0) & (line_measures(left, data).words == 0)
            done = pl.Series(strings(*drop_lines(offsets, data, left, emptied)), dtype=pl.String)
            return texts.clone().scatter(which, done)

        return rewrite
