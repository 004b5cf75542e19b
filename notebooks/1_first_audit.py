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

from spark_ml_audit import audit, predict
from spark_ml_audit.demo.dataset import demo_classes, demo_file
from spark_ml_audit.demo.notebook import open_workplace

place = open_workplace("first-audit", rows=3000, dbutils=globals().get("dbutils"))
rows = place.rows

# COMMAND ----------

# MAGIC %md
# MAGIC ## The table: a name, a text, and the tags people gave

# COMMAND ----------

import pyarrow.parquet as pq

table = pq.read_table(demo_file()).to_pandas().sample(rows, random_state=0)
known = set(demo_classes())
table["labels"] = [[tag for tag in tags if tag in known] for tags in table["labels"]]
table["evidence_labels"] = [list(tags) for tags in table["evidence_labels"]]
packages = place.save(table[["id", "text", "labels", "evidence_labels"]], "packages")
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

result = audit(predictions, classes=predicted.classes)
print(result.summary)

# COMMAND ----------

# MAGIC %md
# MAGIC The worst rows first: what was given, what should be added, what should go. `result.issues` and its like are lazy: DataFrames
# MAGIC of Spark, or relations of DuckDB where no Spark runs. `rows_of` fetches small ones as pandas.

# COMMAND ----------

worst = place.rows_of(result.issues).sort_values("issue_rank")
columns = ["id", "label_quality_score", "given_tags", "missing_tags", "extraneous_tags"]
print(worst[columns].head(10).to_string(index=False, max_colwidth=60))

# COMMAND ----------

# MAGIC %md
# MAGIC By tag: how many are missing, how many are wrong, and the cut-offs. A missing tag is one with `p >= cutoff_missing`, a
# MAGIC wrong one has `p <= cutoff_extraneous`.

# COMMAND ----------

by_tag = place.rows_of(result.classes)
most = (by_tag["num_missing"] + by_tag["num_extraneous"]).nlargest(10).index
columns = ["tag", "num_given", "num_missing", "num_extraneous", "cutoff_missing", "cutoff_extraneous"]
print(by_tag.loc[most, columns].to_string(index=False))

# COMMAND ----------

# MAGIC %md
# MAGIC ## Were the flags right?
# MAGIC
# MAGIC The evidence was never shown to the model. It can prove some tags only, so the share below is a lower bound on the flags
# MAGIC it speaks of, and says nothing of the others.

# COMMAND ----------

evidence = place.read(packages).set_index("id")["evidence_labels"]
provable = {tag for tags in evidence for tag in tags}
flags = place.rows_of(result.tag_issues)
judged = flags[(flags["issue"] == "missing") & flags["tag"].isin(provable)]
proved = [tag in evidence[name] for name, tag in zip(judged["id"], judged["tag"], strict=True)]
counts = {"flags": len(proved), "proved": sum(proved)}
print(f"{counts['proved']} of {counts['flags']} missing tags that evidence can speak of are proved by it")

# COMMAND ----------

# MAGIC %md
# MAGIC ## Keep it
# MAGIC
# MAGIC `write` appends the run to Delta tables (`examples`, `issues`, `tag_issues`, `classes`, `quarantine`, `runs`); the next notebooks
# MAGIC go on from such tables.

# COMMAND ----------

tables = result.write(**place.output)
print(tables)
