"""The whole way of tiktoken: a JSONL file's texts to a file of ids, in batches, each text closed by id 0.

Arguments: TOKENIZER FILE OUT PATTERN THREADS, PATTERN the regular expression that cuts the text.
"""

import json
import sys

import numpy as np
import tiktoken
from tiktoken_encode import alphabet

BATCH = 1000

if __name__ == "__main__":
    tokenizer, source, target, pattern, threads = sys.argv[1:]
    with open(tokenizer, encoding="utf-8") as file:
        vocab = json.load(file)["model"]["vocab"]
    bytes_of = alphabet()
    ranks = {bytes(bytes_of[letter] for letter in token): id for token, id in vocab.items()}
    encoding = tiktoken.Encoding("own", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    dtype = np.uint16 if len(vocab) <= 1 << 16 else np.uint32

    def write(texts: list[str]) -> None:
        for ids in encoding.encode_ordinary_batch(texts, num_threads=int(threads)):
            out.write(np.array([*ids, 0], dtype).tobytes())

    with open(source, "rb") as lines, open(target, "wb") as out:
        batch: list[str] = []
        for line in lines:
            batch.append(json.loads(line)["text"])
            if len(batch) == BATCH:
                write(batch)
                batch = []
        write(batch)
