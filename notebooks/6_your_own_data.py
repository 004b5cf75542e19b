# Databricks notebook source
# MAGIC %md
# MAGIC # Your own data in one line
# MAGIC
# MAGIC Whatever holds your tags and probabilities is audited as it is: two arrays, a DataFrame, a Parquet, CSV or JSON Lines
# MAGIC file. Here: 1,797 scanned digits (they come with scikit-learn), tags that follow from what a digit is, some of them
# MAGIC flipped, and a forest's out-of-sample probabilities. Then every form in which people hold such data, one line each.

# COMMAND ----------

# MAGIC %md
# MAGIC On Databricks: run the next cell. Files go into the folder `NOTEBOOK_FOLDER` (there a Volume, so that Spark finds it);
# MAGIC `NOTEBOOK_ROWS` says how many rows to take.

# COMMAND ----------

# MAGIC %pip install spark-ml-audit

# COMMAND ----------

import os
from pathlib import Path

import numpy as np
import pandas as pd

from spark_ml_audit import audit, predict

folder = Path(os.environ.get("NOTEBOOK_FOLDER", "own-data"))
rows = int(os.environ.get("NOTEBOOK_ROWS", "1797"))
folder.mkdir(parents=True, exist_ok=True)

# COMMAND ----------

# MAGIC %md
# MAGIC ## Tags, and what a model makes of them
# MAGIC
# MAGIC Probabilities must come from a model that has not seen the row: `cross_val_predict` sees to that.

# COMMAND ----------

from sklearn.datasets import load_digits
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.model_selection import cross_val_predict

digits = load_digits()
members = {
    "even": {0, 2, 4, 6, 8},
    "prime": {2, 3, 5, 7},
    "closed loop": {0, 6, 8, 9},
    "at least five": {5, 6, 7, 8, 9},
}
tags = list(members)
truth = np.array([[digit in own for own in members.values()] for digit in digits.target[:rows]])
given = truth ^ (np.random.default_rng(0).random(truth.shape) < 0.03)
forest = ExtraTreesClassifier(n_estimators=50, random_state=0)
by_tag = cross_val_predict(forest, digits.data[:rows], given, cv=3, method="predict_proba")
print(len(by_tag), "arrays of shape", by_tag[0].shape)

# COMMAND ----------

# MAGIC %md
# MAGIC ## Two arrays
# MAGIC
# MAGIC Labels as lists of tag names, lists of class indices, multi-hot (as `MultiLabelBinarizer` makes) or a sparse matrix;
# MAGIC probabilities as one array of shape (n, K), or as scikit-learn's list of K arrays of shape (n, 2). Rows are then named by
# MAGIC their number. Without `classes` the tags are called "0", "1", ...

# COMMAND ----------

pred_probs = np.stack([pair[:, 1] for pair in by_tag], axis=1)
print(audit(given, pred_probs, classes=tags))

# COMMAND ----------

results = {"multi-hot": audit(given, pred_probs, classes=tags)}
results["scikit-learn's own"] = audit(given, by_tag, classes=tags)
results["lists of names"] = audit(
    [[tags[k] for k in np.flatnonzero(row)] for row in given], pred_probs, classes=tags
)
results["lists of indices"] = audit([np.flatnonzero(row) for row in given], pred_probs, classes=tags)

# COMMAND ----------

# MAGIC %md
# MAGIC ## A DataFrame
# MAGIC
# MAGIC Of pandas, Polars, Arrow or Spark, with a column of tags and one of probabilities, or one column per tag. Results come back
# MAGIC in the form that went in, rows in the order of the source, issues worst first. As the last line of a cell, a result shows
# MAGIC itself.

# COMMAND ----------

frame = pd.DataFrame(
    {
        "scan": [f"scan-{i:04}" for i in range(len(given))],
        "labels": [[tags[k] for k in np.flatnonzero(row)] for row in given],
        "pred_probs": list(pred_probs),
    }
)
results["DataFrame"] = audit(frame, id="scan", classes=tags)
results["DataFrame"]

# COMMAND ----------

results["DataFrame and an array"] = audit(frame[["scan", "labels"]], pred_probs, id="scan", classes=tags)
results["one column per tag"] = audit(pd.DataFrame(given, columns=tags, index=frame["scan"]), pred_probs)
worst = results["DataFrame"].issues[["scan", "given_tags", "missing_tags", "extraneous_tags"]]
print(worst.head().to_string(index=False))

# COMMAND ----------

# MAGIC %md
# MAGIC ## A file
# MAGIC
# MAGIC The format is told by name and content. `spark-ml-audit audit tags.parquet` does the same from the command line.

# COMMAND ----------

files = {name: str(folder / f"tags.{name}") for name in ("parquet", "csv", "jsonl")}
frame.to_parquet(files["parquet"])
frame.assign(
    labels=frame["labels"].map(", ".join), pred_probs=[str(list(map(float, row))) for row in pred_probs]
).to_csv(files["csv"], index=False)
frame.assign(pred_probs=[dict(zip(tags, row.tolist(), strict=True)) for row in pred_probs]).to_json(
    files["jsonl"], orient="records", lines=True
)

# COMMAND ----------

print(audit(files["parquet"], id="scan", classes=tags))

# COMMAND ----------

results["Parquet"] = audit(files["parquet"], id="scan", classes=tags)
results["CSV"] = audit(files["csv"], id="scan", classes=tags)
results["JSON Lines"] = audit(files["jsonl"], id="scan", classes=tags)
print({name: result.summary.num_label_issues for name, result in results.items()})

# COMMAND ----------

# MAGIC %md
# MAGIC ## No probabilities yet
# MAGIC
# MAGIC `predict` makes them from any columns, by models that have not seen the row.

# COMMAND ----------

described = frame[["scan", "labels"]].assign(pixels=list(digits.data[: len(given)]))
found = predict(described, id="scan", features={"embedding": ["pixels"]}, classes=tags, folds=3)
results["predicted"] = audit(found.predictions, id="scan")
print(results["predicted"])

# COMMAND ----------

# MAGIC %md
# MAGIC ## Show and keep it
# MAGIC
# MAGIC `report` writes the page and shows it here; `write` keeps the tables, with a report beside them, for `compare`, `sample` and
# MAGIC the other notebooks to go on from.

# COMMAND ----------

results["DataFrame"].report(str(folder / "report.html"))

# COMMAND ----------

tables = results["DataFrame"].write(str(folder / "audit"))
print(tables)
