"""The audit as frames: a source understood, counted, resolved, scored, ranked; nothing is written."""
