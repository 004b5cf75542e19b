"""Scheduled task: a table with tags and features gets out-of-sample probabilities.

Takes the arguments of `spark-ml-audit predict`, under spark-submit and as a Databricks Python-script task:

    spark-submit jobs/predict.py --config conf/predict.yml --set output.path=predictions/tags

A Databricks Python-wheel task needs no file: entry point `spark-ml-audit`, first parameter `predict`.
"""

import sys

from spark_ml_audit.cli import main

if __name__ == "__main__":
    # Databricks takes any SystemExit for a failure, also that of status 0
    if code := main(["predict", *sys.argv[1:]]):
        sys.exit(code)
