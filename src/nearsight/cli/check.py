"""``nearsight check``."""

EXAMPLES = "nearsight check"


def run() -> None:
    """(Coming.)"""
