# Databricks notebook source
# MAGIC %md
# MAGIC # Images with several labels
# MAGIC
# MAGIC A network is trained on images out of fold, its predictions audit the tags, the tags are corrected, and the network is trained
# MAGIC again. Here: images put together of one to four handwritten digits (they come with scikit-learn), tagged with the digits that
# MAGIC are on them. On a fifth of the images somebody was careless: one digit is not tagged, and one is tagged that is not there.
# MAGIC We know which, and count what the audit finds.

# COMMAND ----------

# MAGIC %md
# MAGIC On Databricks: run the next cell, and name a schema of yours in the widget `schema` (`catalog.schema`; empty is best).
# MAGIC Elsewhere tables go into a folder, and the parameters are the environment variables `NOTEBOOK_SCHEMA`,
# MAGIC `NOTEBOOK_FOLDER` and `NOTEBOOK_ROWS`. The network needs the extra `torch`.

# COMMAND ----------

# MAGIC %pip install spark-ml-audit[torch]

# COMMAND ----------

import importlib.util
import io

import numpy as np
import pandas as pd

from spark_ml_audit import audit, predict
from spark_ml_audit.demo.notebook import open_workplace

if any(importlib.util.find_spec(name) is None for name in ("torch", "PIL")):
    raise SystemExit("This notebook trains a network: install the extra torch of spark-ml-audit.")
place = open_workplace("digits", rows=900, dbutils=globals().get("dbutils"))
rows = place.rows

# COMMAND ----------

# MAGIC %md
# MAGIC ## Images and tags
# MAGIC
# MAGIC The column holds the images themselves (PNG, as bytes). Paths and addresses serve as well.

# COMMAND ----------

from PIL import Image
from sklearn.datasets import load_digits

digits, random = load_digits(), np.random.default_rng(0)
names = [str(digit) for digit in range(10)]
truth, images = np.zeros((rows, 10), dtype=bool), []
for row in range(rows):
    canvas = np.zeros((2, 8, 2, 8))
    for quarter in random.permutation(4)[: random.integers(1, 5)]:
        scan = random.integers(len(digits.images))
        canvas[quarter // 2, :, quarter % 2] = digits.images[scan]
        truth[row, digits.target[scan]] = True
    file = io.BytesIO()
    Image.fromarray((canvas.reshape(16, 16) * 255 / 16).astype(np.uint8)).save(file, "PNG")
    images.append(file.getvalue())

given = truth.copy()
careless = random.random(rows) < 0.2
for row in np.flatnonzero(careless):
    given[row, random.choice(np.flatnonzero(truth[row]))] = False
    given[row, random.choice(np.flatnonzero(~truth[row]))] = True


def tagged(matrix):
    """Lists of tags."""
    return [[names[k] for k in np.flatnonzero(row)] for row in matrix]


table = pd.DataFrame({"id": range(rows), "image": images, "labels": tagged(given)})
source = place.save(table, "images")
wrong = given != truth
print(f"{careless.sum()} of {rows} images are tagged wrongly, {wrong.sum()} of {wrong.size} tags")

# COMMAND ----------

# MAGIC %md
# MAGIC ## Train out of fold, audit
# MAGIC
# MAGIC Each image is predicted by a network that has not seen it, nor its tags.

# COMMAND ----------


def learn(source, name):
    """Out-of-fold predictions by networks trained on the tags of a table."""
    found = predict(source, features={"image": "image"}, classes=names, folds=3)
    print(
        {figure: round(found.quality[figure], 3) for figure in ("macro_average_precision", "macro_log_loss")}
    )
    return place.save(found.predictions, name)


predictions = learn(source, "predictions")
result = audit(predictions, classes=names)
result.write(**place.output)
print(result.summary)

# COMMAND ----------

# MAGIC %md
# MAGIC ## Compare with the truth
# MAGIC
# MAGIC Precision: how many flagged tags are wrong. Recall: how many wrong tags are flagged. The ranking of rows, worst first, is judged
# MAGIC by its average precision; a random one has the share of images that are tagged wrongly.

# COMMAND ----------

from sklearn.metrics import average_precision_score

found = place.rows_of(result.tag_issues)
flags = {(row, names.index(tag)) for row, tag in zip(found["id"], found["tag"], strict=True)}
planted = set(zip(*map(np.ndarray.tolist, np.nonzero(wrong)), strict=True))
precision, recall = len(flags & planted) / max(len(flags), 1), len(flags & planted) / len(planted)
print(f"{len(flags)} flagged cells: precision {precision:.2f}, recall {recall:.2f}")

examples = place.rows_of(result.examples).sort_values("id")
ranking = average_precision_score(careless, 1 - examples["label_quality_score"])
print(f"average precision of the ranking: {ranking:.2f}, of a random one {careless.mean():.2f}")

# COMMAND ----------

# MAGIC %md
# MAGIC ## Correct, and train again
# MAGIC
# MAGIC Whoever looks at a flagged cell sees whether the digit is there: here the truth answers. Both networks are judged out of fold
# MAGIC against the truth.

# COMMAND ----------

corrected = given.copy()
for row, k in flags:
    corrected[row, k] = truth[row, k]
fixed = place.save(table.assign(labels=tagged(corrected)), "corrected")
again = learn(fixed, "new_predictions")


def quality(predictions):
    """Mean average precision of a table of predictions against the truth."""
    found = place.read(predictions).sort_values("id")
    return average_precision_score(truth, np.stack(found["pred_probs"].map(np.asarray)), average="macro")


before, after = quality(predictions), quality(again)
left = int((corrected != truth).sum())
print(f"wrong tags: {wrong.sum()} before, {left} after")
print(f"mean average precision: {before:.3f} trained on the tags as given, {after:.3f} on the corrected ones")
