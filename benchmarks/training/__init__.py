"""Training: the report's Table 1 and ours, unseen classes, a step's time, kills."""
