"""Frozen records that commands return and tables hold."""
