"""Pure NumPy functions of multi-label confident learning; no Spark, pandas or MLflow below this line."""
