# Databricks notebook source
# MAGIC %md
# MAGIC # Yes/no survey answers as tags
# MAGIC
# MAGIC Each question is a tag, each answer a column: 1 yes, 0 no. What people said of themselves otherwise predicts part of their
# MAGIC answers; an answer far from that is worth a look: a misread form, a swapped column, somebody who ticked everything.
# MAGIC
# MAGIC The respondents here are made up, so that we know which answers were corrupted.

# COMMAND ----------

# MAGIC %md
# MAGIC On Databricks: run the next cell, and name a schema of yours in the widget `schema` (`catalog.schema`; empty is best).
# MAGIC Elsewhere tables go into a folder, and the parameters are the environment variables `NOTEBOOK_SCHEMA`,
# MAGIC `NOTEBOOK_FOLDER` and `NOTEBOOK_ROWS`.

# COMMAND ----------

# MAGIC %pip install spark-ml-audit

# COMMAND ----------

import numpy as np

from spark_ml_audit import audit, predict
from spark_ml_audit.demo.notebook import open_workplace

place = open_workplace("survey", rows=3000, dbutils=globals().get("dbutils"))
rows = place.rows

# COMMAND ----------

# MAGIC %md
# MAGIC ## Answers in columns

# COMMAND ----------

import pandas as pd

questions = ["owns_car", "rents_flat", "has_children", "works_full_time", "uses_tram", "has_garden"]
rng = np.random.default_rng(3)
age = rng.integers(18, 90, rows)
region = rng.choice(["city", "suburb", "village"], rows, p=[0.5, 0.3, 0.2])
city, village = region == "city", region == "village"
chance = np.stack(
    [
        np.where(city, 0.06, 0.95),
        np.where(city & (age < 60), 0.93, 0.05),
        np.where((age > 32), 0.92, 0.05),
        np.where((age > 24) & (age < 66), 0.94, 0.04),
        np.where(city, 0.93, 0.04),
        np.where(village, 0.96, 0.06),
    ],
    axis=1,
)
truth = rng.random(chance.shape) < chance
corrupted = rng.random(truth.shape) < 0.02
answers = pd.DataFrame((truth ^ corrupted).astype("int32"), columns=questions)
answers.insert(0, "respondent", [f"r{i:05}" for i in range(rows)])
answers["age"], answers["region"] = age, region
survey = place.save(answers, "survey")
print(f"{corrupted.sum()} of {corrupted.size} answers were corrupted")

# COMMAND ----------

# MAGIC %md
# MAGIC ## Predict, audit
# MAGIC
# MAGIC A list of columns as `labels` is all it takes. The answers to the other questions are not among the features.

# COMMAND ----------

features = {"numeric": ["age"], "categorical": ["region"]}
predicted = predict(survey, id="respondent", labels=questions, features=features, kind="tabular", folds=3)
where = place.save(predicted.predictions, "predictions")
result = audit(where, id="respondent", labels=questions, pred_probs="pred_probs", classes=questions)
print(result.summary)

# COMMAND ----------

# MAGIC %md
# MAGIC ## Suspicious answers
# MAGIC
# MAGIC `missing`: answered no, yes is likely; `extraneous`: the other way round.

# COMMAND ----------

found = place.rows_of(result.tag_issues)
print(found.sort_values("cell_score").head(10).to_string(index=False))

# COMMAND ----------

# MAGIC %md
# MAGIC ## How far to trust them
# MAGIC
# MAGIC Most answers that contradict age and region are honest: people differ. A flag is a reason to ask again, not to
# MAGIC overwrite.

# COMMAND ----------

flags = set(zip(found["respondent"], found["tag"], strict=True))
planted = {(f"r{i:05}", questions[k]) for i, k in zip(*np.nonzero(corrupted), strict=True)}
print(f"{len(flags)} flags, {len(flags & planted)} of them on the {len(planted)} corrupted answers")
print(f"by chance it would be {len(flags) * len(planted) / truth.size:.0f}")
columns = ["tag", "num_missing", "num_extraneous", "label_noise", "inverse_label_noise"]
print(place.rows_of(result.classes).nlargest(len(questions), "label_noise")[columns].to_string(index=False))
