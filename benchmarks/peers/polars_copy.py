"""The floor: polars scans a JSONL file and writes it again. `python polars_copy.py IN OUT`."""

import sys

import polars as pl

pl.scan_ndjson(sys.argv[1]).sink_ndjson(sys.argv[2])
