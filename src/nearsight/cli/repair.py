"""``nearsight repair``."""

EXAMPLES = "nearsight repair"


def run() -> None:
    """(Coming.)"""
