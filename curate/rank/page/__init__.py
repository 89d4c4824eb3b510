"""The page that annotators work on: a small server on SQLite, which loses no vote. `curate rank serve` starts it."""
