"""The demo: an audit of Debian packages and their debtags, and an independent proof of what it finds."""
