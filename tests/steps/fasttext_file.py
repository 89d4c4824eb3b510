"""Writes small supervised fastText models, version 12, by the layout of facebookresearch/fastText (fasttext.cc, args.cc,
dictionary.cc, densematrix.cc): the library that reads them cannot make any."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MAGIC, VERSION = 793712314, 12
SUPERVISED, SKIPGRAM, SOFTMAX = 3, 2, 3
WORD, LABEL = 0, 1


def write_fasttext(
    path: Path,
    words: list[str],
    labels: list[str],
    inputs: NDArray[np.float32],
    outputs: NDArray[np.float32],
    *,
    model: int = SUPERVISED,
) -> str:
    """`inputs` float32[words, dim], `outputs` float32[labels, dim]: softmax(outputs @ mean(inputs of the words)). Labels with
    their prefix `__label__`. No n-grams, no subwords."""
    dim = inputs.shape[1]
    # dim, ws, epoch, minCount, neg, wordNgrams, loss, model, bucket, minn, maxn, lrUpdateRate, t
    head = struct.pack("<ii12id", MAGIC, VERSION, dim, 5, 5, 1, 5, 1, SOFTMAX, model, 0, 0, 0, 100, 1e-4)
    entries = [(name, WORD) for name in words] + [(name, LABEL) for name in labels]
    # entries, words, labels, tokens seen, size of the pruning index (-1: none)
    sizes = struct.pack("<iiiqq", len(entries), len(words), len(labels), 10 * len(entries), -1)
    names = b"".join(name.encode() + b"\0" + struct.pack("<qb", 10, kind) for name, kind in entries)
    path.write_bytes(head + sizes + names + _matrix(inputs) + _matrix(outputs))
    return str(path)


def _matrix(values: NDArray[np.float32]) -> bytes:
    """Not quantised; rows, columns, values."""
    return struct.pack("<?qq", False, *values.shape) + values.astype("<f4").tobytes()


def small_fasttext(path: Path) -> str:
    """A model that knows `good` words from `bad` ones: labels `__label__hq` and `__label__lq`."""
    inputs = np.array([[0, 0], [2, 0], [0, 2]], np.float32)
    return write_fasttext(path, ["</s>", "good", "bad"], ["__label__hq", "__label__lq"], inputs, np.eye(2, dtype=np.float32))
