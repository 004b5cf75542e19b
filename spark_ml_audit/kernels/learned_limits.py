"""From how many decisions an order is learned; apart from the fit, so that summaries need no NumPy."""

MIN_DECISIONS = 100
"""Decided cells below which nothing is learned."""

MIN_RANDOM_SHARE = 0.2
"""Share of them that must answer random samples: decisions on the first cells of a list alone say nothing
of the rest of it."""
