"""The command line with small units of work, so that a small file has many of them. Worker processes import this too."""

from __future__ import annotations

import sys

from curate.engine import rows
from curate.io import files, jsonl

files.SHARD_BYTES = 40_000
jsonl.BLOCK_BYTES = 1000
rows.PART_BYTES = 3000

if __name__ == "__main__":
    from curate.cli import run

    sys.exit(run(sys.argv[1:]))
