"""`python -m curate.cli`: the `curate` command where it is not installed."""

from curate.cli import main

main()
