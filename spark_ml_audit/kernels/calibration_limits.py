"""With what and from when on probabilities are calibrated; apart, for those who only tell of it."""

PLATT, TEMPERATURE = "platt", "temperature"
"""Calibrators: two numbers per class, or one for all."""

LEAST_GAIN = 0.05
"""Share of the log loss that must be saved before `auto` calibrates."""

MIN_SIDE = 20
"""Rows that must carry a tag, and that must not, for its class to be calibrated."""
