"""`audit` and `check`: the order of a run, its gates, its retry, what is written and told."""
