"""Novelty as the self-instruct script has it: each instruction scored against all kept before it, over a pool of processes.

Arguments: instructions (JSON list), result (JSON), threshold, processes, and how many to hold before the first is scored.
Written down: for each the highest F; the seconds of the scoring alone, and the pairs.
"""

import json
import sys
import time
from functools import partial
from multiprocessing import Pool

from rouge_score import rouge_scorer


def main() -> None:
    source, target, threshold, processes, held = sys.argv[1:]
    with open(source) as handle:
        instructions = json.load(handle)
    scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False)
    kept, best, pairs = instructions[: int(held)], [], 0
    with Pool(int(processes)) as pool:
        began = time.perf_counter()
        for text in instructions[int(held) :]:
            pairs += len(kept)
            scores = pool.map(partial(scorer.score, text), kept)
            highest = max((score["rougeL"].fmeasure for score in scores), default=0.0)
            best.append(highest)
            if highest <= float(threshold):
                kept.append(text)
        seconds = time.perf_counter() - began
    with open(target, "w") as handle:
        json.dump({"best": best, "pairs": pairs, "seconds": seconds}, handle)


if __name__ == "__main__":
    main()
