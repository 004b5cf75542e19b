# Databricks notebook source
# MAGIC %md
# MAGIC # Embeddings of anything
# MAGIC
# MAGIC Images, audio, documents, users: whatever a network turns into a vector is audited the same way. Here: 1,797 scanned digits
# MAGIC (they come with scikit-learn), their first 32 principal components as embeddings, and tags that follow from what
# MAGIC a digit is. Some tags are then flipped, so that we can count which ones the audit finds.

# COMMAND ----------

# MAGIC %md
# MAGIC On Databricks: run the next cell, and name a schema of yours in the widget `schema` (`catalog.schema`; empty is best).
# MAGIC Elsewhere tables go into a folder, and the parameters are the environment variables `NOTEBOOK_SCHEMA`,
# MAGIC `NOTEBOOK_FOLDER` and `NOTEBOOK_ROWS`.

# COMMAND ----------

# MAGIC %pip install spark-ml-audit

# COMMAND ----------

import numpy as np
import pandas as pd

from spark_ml_audit import audit, predict
from spark_ml_audit.demo.notebook import open_workplace

place = open_workplace("embeddings", rows=1797, dbutils=globals().get("dbutils"))
rows = place.rows

# COMMAND ----------

# MAGIC %md
# MAGIC ## Embeddings and tags
# MAGIC
# MAGIC In place of the principal components put your network's output: one array of numbers per row, all of one length.

# COMMAND ----------

from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

digits = load_digits()
vectors = PCA(32, random_state=0).fit_transform(digits.data[:rows])
tags = {
    "even": {0, 2, 4, 6, 8},
    "prime": {2, 3, 5, 7},
    "closed loop": {0, 6, 8, 9},
    "at least five": {5, 6, 7, 8, 9},
    "square": {0, 1, 4, 9},
}
truth = np.array([[digit in members for members in tags.values()] for digit in digits.target[:rows]])
flipped = np.random.default_rng(0).random(truth.shape) < 0.03
given = truth ^ flipped
names = list(tags)
table = pd.DataFrame(
    {
        "id": range(len(given)),
        "vector": vectors.tolist(),
        "labels": [[names[k] for k in np.flatnonzero(row)] for row in given],
    }
)
images = place.save(table, "images")
print(f"{flipped.sum()} of {flipped.size} tags were flipped")

# COMMAND ----------

# MAGIC %md
# MAGIC ## Predict out of sample, audit

# COMMAND ----------

predicted = predict(images, features={"embedding": ["vector"]}, classes=names, folds=4)
where = place.save(predicted.predictions, "predictions")
result = audit(where, classes=names, detect={"outliers": {"features": {"embedding": ["vector"]}}})
print(result.summary)

# COMMAND ----------

# MAGIC %md
# MAGIC ## What it found
# MAGIC
# MAGIC Precision: how many flagged tags were flipped. Recall: how many of the flipped tags were flagged.

# COMMAND ----------

found = place.rows_of(result.tag_issues)
flags = {(row, names.index(tag)) for row, tag in zip(found["id"], found["tag"], strict=True)}
planted = set(zip(*map(np.ndarray.tolist, np.nonzero(flipped)), strict=True))
precision, recall = len(flags & planted) / max(len(flags), 1), len(flags & planted) / max(len(planted), 1)
print(f"{len(flags)} flagged cells: precision {precision:.2f}, recall {recall:.2f}")

# COMMAND ----------

# MAGIC %md
# MAGIC ## Rows like no other
# MAGIC
# MAGIC Outliers are far from all other rows (cosine of the embeddings): a broken scan, another alphabet, silence.

# COMMAND ----------

farthest = place.rows_of(result.examples).nlargest(5, "outlier_score")
print(farthest[["id", "outlier_score", "is_outlier", "given_tags"]].to_string(index=False))
