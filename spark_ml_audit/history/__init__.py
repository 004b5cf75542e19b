"""`compare`, `trend`, and what an audit says of the run before it."""
