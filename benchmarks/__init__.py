"""The figures: each module is one command, ``python -m benchmarks.NAME [--quick]``, and one file in docs/results."""
