"""The command line: one file per verb, results on stdout, everything else on stderr.

Nothing here imports numpy or a picture library before a verb runs, so that ``--help`` and mistakes answer at once.
"""

from nearsight.cli.app import main

__all__ = ["main"]
