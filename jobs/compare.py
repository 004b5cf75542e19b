"""Scheduled task: two runs of an audit are compared.

Takes the arguments of `spark-ml-audit compare`, under spark-submit and as a Databricks Python-script task:

    spark-submit jobs/compare.py --config conf/compare.yml --set output.path=audits/comparison

A Databricks Python-wheel task needs no file: entry point `spark-ml-audit`, first parameter `compare`.
"""

import sys

from spark_ml_audit.cli import main

if __name__ == "__main__":
    # Databricks takes any SystemExit for a failure, also that of status 0
    if code := main(["compare", *sys.argv[1:]]):
        sys.exit(code)
