"""``nearsight demo``."""

EXAMPLES = "nearsight demo"


def run() -> None:
    """(Coming.)"""
