"""All that differs between the engines that run an audit."""
