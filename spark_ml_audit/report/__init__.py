"""The report of a run: what it reads is here, the page it makes is in `page`."""
