"""What documents are, their order, and how they are packed: the options of `tokenize` that this part answers for."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from curate.declare import Options
from curate.tokenizing.documents import Long

__all__ = ["Arrangement", "Pack"]

Pack = Literal["none", "concatenate", "best_fit"]


class Arrangement(Options):
    """Options of documents and rows."""

    render: Literal["text", "examples"] = Field(
        "text",
        description="What a row becomes. text: the text it reads as, all of it trained on. examples: instruction and chat rows "
        "through the tokenizer's chat template, preference rows as prompt and two answers, with a mask of what is trained on.",
    )
    add_bos: bool = Field(
        False, description="Open every text with the tokenizer's start token; chat templates do it themselves."
    )
    max_document: int | None = Field(
        None, ge=2, description="Tokens that a document may have before `long` says what becomes of it."
    )
    long: Long = Field(
        "split",
        description="What becomes of longer documents: cut into pieces, dropped, or kept and counted. Examples are not cut.",
    )
    shuffle: bool = Field(
        False, description="Put all documents of a split into an order drawn by their ids and `seed`; else they keep theirs."
    )
    pack: Pack = Field(
        "none",
        description="Which documents share a row of training. none: that is left to the trainer; concatenate: one after "
        "another, cut where a row is full; best_fit: where they fill rows best, so that only those longer than a row are cut.",
    )
    sequence: int | None = Field(
        None, ge=2, description="For `pack`: tokens of a row that a model sees; the row holds one more, the last one's target."
    )

    @model_validator(mode="after")
    def _options_fit(self) -> Arrangement:
        if (self.pack == "none") != (self.sequence is None):
            raise ValueError("pack needs sequence, and nothing else does")
        if self.render == "examples" and self.add_bos:
            raise ValueError("add_bos is for render text; the chat template opens examples")
        if self.render == "examples" and self.max_document is not None and self.long == "split":
            raise ValueError("an example cannot be split: set long to drop or keep")
        return self

    @property
    def arranged(self) -> bool:
        """Whether documents are written in another order, or in rows, than they are read."""
        return self.shuffle or self.pack != "none"
