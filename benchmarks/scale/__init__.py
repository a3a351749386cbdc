"""Figures of what goes beyond one process: engines on a server, encoding by many workers, and kills in mid-write."""
