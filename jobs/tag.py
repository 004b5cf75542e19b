"""Scheduled task: new rows are tagged by a registered model.

Takes the arguments of `spark-ml-audit tag`, under spark-submit and as a Databricks Python-script task:

    spark-submit jobs/tag.py --config conf/tag.yml --set output.path=tags/new

A Databricks Python-wheel task needs no file: entry point `spark-ml-audit`, first parameter `tag`.
"""

import sys

from spark_ml_audit.cli import main

if __name__ == "__main__":
    # Databricks takes any SystemExit for a failure, also that of status 0
    if code := main(["tag", *sys.argv[1:]]):
        sys.exit(code)
