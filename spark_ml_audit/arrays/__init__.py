"""cleanlab's multi-label functions on NumPy arrays: no engine, no files, NumPy alone."""
