"""Tests of the frames that need no engine."""
