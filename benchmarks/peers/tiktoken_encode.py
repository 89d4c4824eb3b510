"""tiktoken over the texts of a JSONL file, on one thread, with the vocabulary of a byte-level tokenizer.json: prints CPU
seconds and tokens. Arguments: TOKENIZER PATTERN FILE, PATTERN the regular expression that cuts the text."""

import json
import sys
import time

import tiktoken


def alphabet() -> dict[str, int]:
    """The letter that stands for each byte (openai/gpt-2 src/encoder.py)."""
    printing = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printing]
    return {chr(byte): byte for byte in printing} | {chr(0x100 + i): byte for i, byte in enumerate(others)}


if __name__ == "__main__":
    tokenizer, pattern, source = sys.argv[1:]
    with open(tokenizer, encoding="utf-8") as file:
        vocab = json.load(file)["model"]["vocab"]
    bytes_of = alphabet()
    ranks = {bytes(bytes_of[letter] for letter in token): id for token, id in vocab.items()}
    encoding = tiktoken.Encoding("own", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    with open(source, "rb") as file:
        texts = [json.loads(line)["text"] for line in file]
    encoding.encode_ordinary("warm up")
    began = time.process_time()
    tokens = sum(len(encoding.encode_ordinary(text)) for text in texts)
    sys.stdout.write(json.dumps([time.process_time() - began, tokens]))
