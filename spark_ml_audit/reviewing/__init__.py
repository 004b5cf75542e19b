"""The commands that follow an audit: draw cells to review, take decisions in, estimate, correct, undo."""
