"""The values of `trust`, for who shows them; the rule is in `trust`."""

GOOD, WEAK, UNKNOWN = "good", "weak", "unknown"
TRUST = (GOOD, WEAK, UNKNOWN)
"""Most trusted first."""
