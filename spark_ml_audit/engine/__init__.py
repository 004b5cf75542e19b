"""Spark glue around the kernels: reads DataFrames, returns DataFrames, never writes."""
