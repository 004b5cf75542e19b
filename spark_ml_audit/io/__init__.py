"""Reading sources and writing the output tables."""
