# Databricks notebook source
# MAGIC %md
# MAGIC # A monitored table
# MAGIC
# MAGIC A table of support tickets is tagged by a team and scored by a model. It is audited after every load: the same command that
# MAGIC a scheduled job runs. One day an import loses tags. Gates notice, `compare` says what changed and why, `trend` shows it.

# COMMAND ----------

# MAGIC %md
# MAGIC On Databricks: run the next cell, and name a schema of yours in the widget `schema` (`catalog.schema`; empty is best).
# MAGIC Elsewhere tables go into a folder, and the parameters are the environment variables `NOTEBOOK_SCHEMA`,
# MAGIC `NOTEBOOK_FOLDER` and `NOTEBOOK_ROWS`.

# COMMAND ----------

# MAGIC %pip install spark-ml-audit

# COMMAND ----------

import os

import numpy as np
import pandas as pd

from spark_ml_audit import compare
from spark_ml_audit.cli import main
from spark_ml_audit.demo.notebook import open_workplace

place = open_workplace("monitored", rows=2000, dbutils=globals().get("dbutils"))
rows = place.rows

# COMMAND ----------

# MAGIC %md
# MAGIC ## Tickets with tags and probabilities

# COMMAND ----------

tags = ["billing", "delivery", "login", "refund", "safety"]
rng = np.random.default_rng(7)
needs = rng.random((rows, len(tags))) < [0.35, 0.3, 0.2, 0.15, 0.1]
given = needs ^ (rng.random(needs.shape) < 0.01)
probs = np.clip(np.where(needs, 0.85, 0.12) + rng.normal(0, 0.1, needs.shape), 0.001, 0.999)


def tickets(given):
    """The table as it is after a load."""
    return pd.DataFrame(
        {
            "id": [f"t{i:06}" for i in range(len(given))],
            "labels": [[tags[k] for k in np.flatnonzero(row)] for row in given],
            "pred_probs": probs.tolist(),
        }
    )


source = place.save(tickets(given), "tickets")

# COMMAND ----------

# MAGIC %md
# MAGIC ## The first audit
# MAGIC
# MAGIC `main` is the command line: the same arguments, and the exit status that a job sees. 0: all well; 3: a gate is broken,
# MAGIC with all tables written; 4: something was not delivered.

# COMMAND ----------

output = {f"output.{name}": value for name, value in place.output.items()}


def run(command, **more):
    """A command as a scheduled job calls it; its exit status."""
    values = {**output, **more}
    arguments = [part for key, value in values.items() for part in ("--set", f"{key}={value}")]
    return main([command, "--quiet", *arguments])


settings = {
    ("source.table" if place.schema else "source.path"): source,
    "source.classes": f"[{', '.join(tags)}]",
    "gate.max_issue_fraction": 0.2,
    "gate.max_class_noise_increase": "{limit: 0.02, kind: missing}",
    "report.enabled": "false",
}
status = run("audit", **settings)
print("exit status", status)
assert status in (0, 4)

# COMMAND ----------

# MAGIC %md
# MAGIC ## A load that loses tags
# MAGIC
# MAGIC Half of the tickets arrive without `login`. Nobody complains: the table is well-formed.

# COMMAND ----------

lost = given.copy()
lost[: rows // 2, tags.index("login")] = False
place.save(tickets(lost), "tickets")
status = run("audit", **settings)
print("exit status", status)
assert status == 3

# COMMAND ----------

# MAGIC %md
# MAGIC ## What changed?
# MAGIC
# MAGIC Cells newly flagged, fixed and still open, each with a reason: `tags_changed` says that somebody edited the row.

# COMMAND ----------

difference = compare(**place.output)
changes = place.rows_of(difference.cells).groupby(["tag", "issue", "change", "reason"], dropna=False).size()
print(changes.head(20).to_string())

# COMMAND ----------

# MAGIC %md
# MAGIC ## Back to the version before
# MAGIC
# MAGIC Delta keeps it (in SQL: `RESTORE TABLE`). The third audit finds what the first one found.

# COMMAND ----------

place.save(place.read(source, version=0), "tickets")
status = run("audit", **settings)
print("exit status", status)
assert status in (0, 4)

# COMMAND ----------

# MAGIC %md
# MAGIC ## The trend
# MAGIC
# MAGIC Health and noise by tag over all runs of this table, as a page (`trend.file`) and by SQL (README, "Compare and trend").

# COMMAND ----------

page = {} if not place.schema else {"trend.file": os.path.join(place.folder, "trend.html")}
os.makedirs(place.folder, exist_ok=True)
status = run("trend", **page)
assert status == 0
