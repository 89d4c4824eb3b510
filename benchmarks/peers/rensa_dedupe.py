"""rensa's deduplicator on sets of word 5-grams at 0.8, as its documentation keeps unique rows: JSONL file, output file."""

import re
import sys

import orjson
from rensa import RMinHashDeduplicator

WORD = re.compile(r"\w+")


def shingles(text: str) -> list[str]:
    words = WORD.findall(text.lower())
    return [" ".join(words[i : i + 5]) for i in range(max(1, len(words) - 4))]


def main(source: str, target: str) -> None:
    with open(source, "rb") as handle:
        lines = handle.readlines()
    unique = RMinHashDeduplicator(threshold=0.8, num_perm=128, use_lsh=True)
    keep = unique.add_pairs((str(i), shingles(orjson.loads(line)["text"])) for i, line in enumerate(lines))
    with open(target, "wb") as out:
        out.writelines(line for line, stays in zip(lines, keep, strict=True) if stays)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
