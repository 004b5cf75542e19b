# Databricks notebook source
# MAGIC %md
# MAGIC # From raw text to a corrected table and a better model
# MAGIC
# MAGIC Texts with tags, a quarter of which are then removed on purpose, so that we know what was lost. An audit finds places to look;
# MAGIC a reviewer looks; the table is corrected; the model trained on it is measured against the tags as they were. The reviewer
# MAGIC here is a lookup of the original tags: it stands for people who answer correctly. Yours will take longer.

# COMMAND ----------

# MAGIC %md
# MAGIC On Databricks: run the next cell, and name a schema of yours in the widget `schema` (`catalog.schema`; empty is best).
# MAGIC Elsewhere tables go into a folder, and the parameters are the environment variables `NOTEBOOK_SCHEMA`,
# MAGIC `NOTEBOOK_FOLDER` and `NOTEBOOK_ROWS`.

# COMMAND ----------

# MAGIC %pip install spark-ml-audit

# COMMAND ----------

import os

import pyarrow.parquet as pq

from spark_ml_audit import audit, correct, decide, predict, sample
from spark_ml_audit.demo.dataset import demo_file
from spark_ml_audit.demo.notebook import open_workplace

place = open_workplace("better-model", rows=3000, dbutils=globals().get("dbutils"))
rows = place.rows

# COMMAND ----------

# MAGIC %md
# MAGIC ## Texts, and tags of which a quarter is lost

# COMMAND ----------

import numpy as np

classes = [
    "implemented-in::perl", "implemented-in::python", "interface::commandline", "interface::x11", "role::devel-lib",
    "role::documentation", "role::plugin", "role::shared-lib", "use::gameplaying", "devel::library",
]  # fmt: skip
table = pq.read_table(demo_file(), columns=["id", "text", "labels"]).to_pandas().sample(rows, random_state=0)
rng = np.random.default_rng(0)
table["original"] = [[tag for tag in tags if tag in classes] for tags in table["labels"]]
table["labels"] = [[tag for tag in tags if rng.random() > 0.25] for tags in table["original"]]
packages = place.save(table[["id", "text", "labels", "original"]], "packages")
given, kept = table["original"].map(len).sum(), table["labels"].map(len).sum()
print(f"{given - kept} of {given} tags were removed")

# COMMAND ----------

# MAGIC %md
# MAGIC ## Predict out of sample, audit

# COMMAND ----------


def learn(source, name):
    """A table of out-of-fold predictions by models trained on the tags in `source`."""
    found = predict(source, features={"text": ["text"]}, classes=classes, folds=3)
    return place.save(found.predictions, name)


output = place.output
predictions = learn(packages, "predictions")
result = audit(predictions, classes=classes)
result.write(**output)
print(result.summary)

# COMMAND ----------

# MAGIC %md
# MAGIC ## Review the flagged cells
# MAGIC
# MAGIC `sample` writes a spreadsheet of the cells to judge; people fill in `verdict`. Here the original tags answer.

# COMMAND ----------

import tempfile

import pandas as pd

sheet = os.path.join(tempfile.mkdtemp(), "review.csv")
sample(**output, how="worst", size=10_000, csv=sheet, show=["text"])
cells = pd.read_csv(sheet, dtype=str, keep_default_na=False, encoding="utf-8-sig")
truth = dict(zip(table["id"], table["original"], strict=True))
cells["verdict"] = [
    "present" if tag in truth[name] else "absent" for name, tag in zip(cells["id"], cells["tag"], strict=True)
]
cells.to_csv(sheet, index=False)
print(cells["verdict"].value_counts().to_dict())
decide(sheet, **output, who="lookup of the original tags")

# COMMAND ----------

# MAGIC %md
# MAGIC ## Correct
# MAGIC
# MAGIC A copy of the table, with the decided cells changed; `mode="merge"` changes the table itself, and `undo` takes it back.

# COMMAND ----------

corrected = correct(**output, mode="copy")
print(
    f"{corrected.num_rows_changed} rows: {corrected.num_tags_added} tags added, {corrected.num_tags_removed} removed"
)
fixed = place.read(corrected.target)

# COMMAND ----------

# MAGIC %md
# MAGIC ## Is the model better?
# MAGIC
# MAGIC Both models are judged out of fold, against the original tags, on all rows: mean over the classes of the average precision.

# COMMAND ----------

from sklearn.metrics import average_precision_score


def quality(predictions):
    """Mean average precision of a table of predictions against the original tags."""
    found = place.read(predictions)
    probs = np.stack([np.asarray(row) for row in found["pred_probs"]])
    present = np.array([[tag in tags for tag in classes] for tags in found["original"]])
    used = present.any(axis=0)
    return average_precision_score(present[:, used], probs[:, used], average="macro")


again = place.save(fixed.drop(columns=["pred_probs", "fold"]), "corrected_packages")
before, after = quality(predictions), quality(learn(again, "new_predictions"))
print(f"mean average precision: {before:.3f} trained on the tags as given, {after:.3f} on the corrected ones")
