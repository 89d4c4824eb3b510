"""Our commands and the peers' on the same file, in turn, as whole processes: `python -m benchmarks`."""
