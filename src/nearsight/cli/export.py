"""``nearsight export``."""

EXAMPLES = "nearsight export"


def run() -> None:
    """(Coming.)"""
