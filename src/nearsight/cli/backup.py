"""``nearsight backup``."""

EXAMPLES = "nearsight backup"


def run() -> None:
    """(Coming.)"""
