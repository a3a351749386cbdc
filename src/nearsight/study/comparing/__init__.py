"""Losses at equal budget, judged on classes that nothing saw."""
