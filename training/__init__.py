"""Trainings of what comes along, with their data, recipes and logs: ``python -m training.NAME``."""
