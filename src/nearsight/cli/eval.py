"""``nearsight eval``."""

EXAMPLES = "nearsight eval"


def run() -> None:
    """(Coming.)"""
