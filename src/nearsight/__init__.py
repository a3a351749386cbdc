"""Find pictures by looking: train a descriptor on your own images, index them, search them, measure it."""

__all__ = ["__version__"]
__version__ = "0.1.0"
