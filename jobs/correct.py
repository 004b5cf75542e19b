"""Scheduled task: decisions on an audit's findings become a corrected table.

Takes the arguments of `spark-ml-audit correct`, under spark-submit and as a Databricks Python-script task:

    spark-submit jobs/correct.py --config conf/correct.yml --set output.path=corrected/tags

A Databricks Python-wheel task needs no file: entry point `spark-ml-audit`, first parameter `correct`.
"""

import sys

from spark_ml_audit.cli import main

if __name__ == "__main__":
    # Databricks takes any SystemExit for a failure, also that of status 0
    if code := main(["correct", *sys.argv[1:]]):
        sys.exit(code)
