"""Scheduled task: missing and wrong tags of a table are found.

Takes the arguments of `spark-ml-audit audit`, under spark-submit and as a Databricks Python-script task:

    spark-submit jobs/audit.py --config conf/audit.yml --set output.path=audits/tags

A Databricks Python-wheel task needs no file: entry point `spark-ml-audit`, first parameter `audit`.
"""

import sys

from spark_ml_audit.cli import main

if __name__ == "__main__":
    # Databricks takes any SystemExit for a failure, also that of status 0
    if code := main(["audit", *sys.argv[1:]]):
        sys.exit(code)
