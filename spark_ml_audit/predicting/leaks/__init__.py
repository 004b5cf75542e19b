"""The leak guard: which columns bear or reproduce the tags, and are no features unless they are named."""
