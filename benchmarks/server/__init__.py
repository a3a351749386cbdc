"""Figures of what is served, and of what the page shows."""
