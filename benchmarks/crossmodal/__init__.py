"""Figures of pictures and words in one space."""
