"""Builds the demo's data set from the package index of a Debian release.

`python -m spark_ml_audit.demo.build_debtags --help` tells how. It needs apt unless index files are given.
"""
