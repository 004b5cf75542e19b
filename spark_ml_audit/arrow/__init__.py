"""What runs inside a task: Arrow batches to NumPy arrays and back, without any engine."""
