"""Plugs into tools that teams have already: MLflow's evaluation, Databricks Labs DQX."""
