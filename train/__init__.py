"""A compact training backend: PyTorch, transformers and TRL, driven by a recipe.

It reads token shards and the row formats by `schemas/` alone and imports nothing of `curate`, so that it trains on
folders which any tool has made. `train.config` describes a recipe and imports neither torch nor transformers;
`python -P -m train RECIPE` runs one (`-P`, so that a `train.py` in the working folder is never imported instead).
"""
