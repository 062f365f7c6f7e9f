"""`python -m streams.cli` is `sluicegate`."""

from streams.cli import main

main()
