"""What `tokenize` is made of: rows as documents of token ids, their order, and which of them share a row of training."""
