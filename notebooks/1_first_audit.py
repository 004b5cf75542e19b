# Databricks notebook source
# MAGIC %md
# MAGIC # First audit in five minutes
# MAGIC
# MAGIC Volunteers tagged Debian packages. Which tags did they forget, which ones are wrong? The data come with `spark-ml-audit`
# MAGIC (`spark_ml_audit/demo/data/README.md` says from where), together with something rare: evidence. A package that depends
# MAGIC on GTK uses GTK, whatever its volunteers tagged.

# COMMAND ----------

# MAGIC %md
# MAGIC On Databricks: run the next cell, and name a schema of yours in the widget `schema` (`catalog.schema`; empty is best).
# MAGIC Elsewhere tables go into a folder, and the parameters are the environment variables `NOTEBOOK_SCHEMA`,
# MAGIC `NOTEBOOK_FOLDER` and `NOTEBOOK_ROWS`.

# COMMAND ----------

# MAGIC %pip install spark-ml-audit

# COMMAND ----------

from pyspark.sql import functions as F

from spark_ml_audit import audit, predict
from spark_ml_audit.demo.dataset import demo_classes, demo_file
from spark_ml_audit.demo.notebook import open_workplace

place = open_workplace("first-audit", rows=3000, dbutils=globals().get("dbutils"))
spark, rows = place.spark, place.rows

# COMMAND ----------

# MAGIC %md
# MAGIC ## The table: a name, a text, and the tags people gave

# COMMAND ----------

import pyarrow.parquet as pq

table = pq.read_table(demo_file()).to_pandas().sample(rows, random_state=0)
known = set(demo_classes())
table["labels"] = [[tag for tag in tags if tag in known] for tags in table["labels"]]
table["evidence_labels"] = [list(tags) for tags in table["evidence_labels"]]
schema_of_table = "id string, text string, labels array<string>, evidence_labels array<string>"
packages = place.save(
    spark.createDataFrame(table[["id", "text", "labels", "evidence_labels"]], schema_of_table), "packages"
)
print(packages)

# COMMAND ----------

# MAGIC %md
# MAGIC ## Probabilities that have not seen the row
# MAGIC
# MAGIC An audit compares given tags with a model's opinion. The model must not have learnt from the row it judges, so `predict`
# MAGIC trains one model per fold. (You have your own model? Write its out-of-sample probabilities into a column and skip this.)

# COMMAND ----------

predicted = predict(packages, features={"text": ["text"]}, folds=3)
predictions = place.save(predicted.predictions, "predictions")
print(
    {
        name: value
        for name, value in predicted.quality.items()
        if name in ("macro_auc", "micro_average_precision")
    }
)
for sentence in predicted.warnings:
    print(sentence)

# COMMAND ----------

# MAGIC %md
# MAGIC ## The audit

# COMMAND ----------

result = audit(predictions)
print(result.summary)

# COMMAND ----------

# MAGIC %md
# MAGIC The worst rows first: what was given, what should be added, what should go.

# COMMAND ----------

result.issues.orderBy("issue_rank").select(
    "id", "label_quality_score", "given_tags", "missing_tags", "extraneous_tags"
).show(10, truncate=60)

# COMMAND ----------

# MAGIC %md
# MAGIC By tag: how many are missing, how many are wrong, and the cut-offs. A missing tag is one with `p >= cutoff_missing`, a
# MAGIC wrong one has `p <= cutoff_extraneous`.

# COMMAND ----------

by_tag = result.classes.orderBy(F.desc(F.col("num_missing") + F.col("num_extraneous")))
columns = ("tag", "num_given", "num_missing", "num_extraneous", "cutoff_missing", "cutoff_extraneous")
by_tag.select(*columns).show(10, truncate=False)

# COMMAND ----------

# MAGIC %md
# MAGIC ## Were the flags right?
# MAGIC
# MAGIC The evidence was never shown to the model. It can prove some tags only, so the share below is a lower bound on the flags
# MAGIC it speaks of, and says nothing of the others.

# COMMAND ----------

evidence = place.read(packages)
provable = [
    row["tag"] for row in evidence.select(F.explode("evidence_labels").alias("tag")).distinct().collect()
]
flags = result.tag_issues.where((F.col("issue") == "missing") & F.col("tag").isin(provable))
judged = flags.join(evidence.select("id", "evidence_labels"), "id").select(
    F.array_contains("evidence_labels", F.col("tag")).alias("proved")
)
counts = judged.agg(F.count("*").alias("flags"), F.sum(F.col("proved").cast("int")).alias("proved")).first()
print(
    f"{counts['proved'] or 0} of {counts['flags']} missing tags that evidence can speak of are proved by it"
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## Keep it
# MAGIC
# MAGIC `write` appends the run to Delta tables (`examples`, `issues`, `tag_issues`, `classes`, `quarantine`, `runs`); the next notebooks
# MAGIC go on from such tables.

# COMMAND ----------

tables = result.write(**place.output)
print(tables)
