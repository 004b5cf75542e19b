"""The supported versions of Spark, each in an environment of its own: `python -m tests.matrix`."""
