"""`python tokenizers_train.py FILE OUT PATTERN VOCAB_SIZE SPECIAL...`: byte-level BPE by the trainer of tokenizers.

Rows whose `split` says validation are left out. The library reads RAYON_NUM_THREADS.
"""

import json
import sys
from collections.abc import Iterator

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

file, out, pattern, vocab_size, *specials = sys.argv[1:]


def batches() -> Iterator[list[str]]:
    """Texts, a thousand at a time: one by one they would be slower."""
    texts: list[str] = []
    with open(file, "rb") as lines:
        for line in lines:
            row = json.loads(line)
            if row.get("split") != "validation":
                texts.append(row["text"])
            if len(texts) == 1000:
                yield texts
                texts = []
    yield texts


tokenizer = Tokenizer(models.BPE())
tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
    [
        pre_tokenizers.Split(Regex(pattern), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ]
)
tokenizer.decoder = decoders.ByteLevel()
trainer = trainers.BpeTrainer(
    vocab_size=int(vocab_size),
    initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    special_tokens=specials,
    show_progress=False,
)
tokenizer.train_from_iterator(batches(), trainer)
tokenizer.save(out)
