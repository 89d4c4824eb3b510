"""The whole way of the tokenizers library: a JSONL file's texts to a file of ids, in batches, each text closed by id 0.

Arguments: TOKENIZER FILE OUT. As many threads as RAYON_NUM_THREADS says.
"""

import json
import sys

import numpy as np
from tokenizers import Tokenizer

BATCH = 1000

if __name__ == "__main__":
    tokenizer = Tokenizer.from_file(sys.argv[1])
    tokenizer.encode_special_tokens = True
    dtype = np.uint16 if tokenizer.get_vocab_size() <= 1 << 16 else np.uint32

    def write(texts: list[str]) -> None:
        for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False):
            out.write(np.array([*encoding.ids, 0], dtype).tobytes())

    with open(sys.argv[2], "rb") as lines, open(sys.argv[3], "wb") as out:
        batch: list[str] = []
        for line in lines:
            batch.append(json.loads(line)["text"])
            if len(batch) == BATCH:
                write(batch)
                batch = []
        write(batch)
