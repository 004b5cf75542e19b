"""A check for Databricks Labs DQX that reads the audit tables; it needs only Spark.

DQX's licence limits its use to Databricks, so it is neither imported nor a dependency. `no_label_issue` has
the form of its dataset-level checks: a condition, and a function that puts what the condition needs beside
the rows.

    from databricks.labs.dqx.rule import DQDatasetRule, register_rule
    check = register_rule("dataset")(no_label_issue)
    rule = DQDatasetRule(check_func=check, columns=["id"], check_func_kwargs={"audit": "main.quality"})
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import narwhals as nw
from pyspark.sql import functions as F

from spark_ml_audit.config.output import OutputConfig
from spark_ml_audit.config.paths import is_path
from spark_ml_audit.engines.choose import choose_engine
from spark_ml_audit.engines.columns import names_of, quote
from spark_ml_audit.errors import ConfigError
from spark_ml_audit.lake.output import OutputTables
from spark_ml_audit.lake.runs import find_run
from spark_ml_audit.lake.schemas import TAG_ISSUES, id_column

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession


def no_label_issue(
    columns: Sequence[str],
    audit: str,
    prefix: str = "",
    run: str | None = None,
    tags: Sequence[str] | None = None,
    max_score: float | None = None,
) -> tuple[Column, Callable[..., DataFrame]]:
    """Rows whose tags the newest audit questions fail the check; rows it has not seen pass.

    Args:
        columns: The id column of the table that is checked, alone in a list (DQX's form).
        audit: Output of the audit: `catalog.schema`, or a folder, with a slash in it.
        prefix: Of the tables in a schema.
        run: run_id of the audit; the newest one by default.
        tags: Only flags of these tags count; all by default.
        max_score: Only flags with a cell score of at most this count, the surest ones; all by default.

    Returns:
        The condition, a column that is null for a good row and else a message; and the function
        (frame, spark, ref_dfs) -> frame with the column that the condition reads.

    Raises:
        ConfigError: Not one id column; later, when the function is called: no such audit.

    Example:
        >>> condition, apply = no_label_issue(["id"], "audits/tags")  # doctest: +SKIP
        >>> checked = apply(df, spark, {}).select("id", condition)  # doctest: +SKIP
        >>> checked.where("has_label_issue IS NOT NULL").count() > 0  # doctest: +SKIP
        True
    """
    if len(columns) != 1:
        raise ConfigError(
            f"found {list(columns)}.", key="columns", fix="Name the id column alone, such as ['id']."
        )
    row_id = columns[0]
    added = f"__label_issue_{uuid4().hex}"

    def apply(
        df: DataFrame, spark: SparkSession, ref_dfs: Mapping[str, DataFrame] | None = None, **_: Any
    ) -> DataFrame:
        place = {"path": audit} if is_path(audit) else {"schema": audit, "prefix": prefix}
        engine = choose_engine(spark=spark)
        tables = OutputTables(engine, OutputConfig.parse(place, "output"))
        flags = tables.read(TAG_ISSUES, find_run(tables, run, "run").run_id)
        if tags is not None:
            flags = flags.filter(nw.col("tag").is_in(list(tags)))
        if max_score is not None:
            flags = flags.filter(nw.col("cell_score") <= max_score)
        id_name = id_column(names_of(flags))
        if id_name is None:
            raise ConfigError(
                f"no id column in the audit {audit}.", key="audit", fix="Name an audit's output."
            )
        key = f"{added}_id"
        said = F.concat(F.col("issue"), F.lit(" "), F.col("tag"))
        by_row = engine.native(flags).groupBy(F.col(quote(id_name)).alias(key))
        found = by_row.agg(F.array_join(F.array_sort(F.collect_list(said)), ", ").alias(added))
        return df.join(found, F.col(quote(row_id)) == F.col(key), "left").drop(key)

    message = F.concat(F.lit("tags questioned by the label audit: "), F.col(added))
    condition = F.when(F.col(added).isNotNull(), message).otherwise(F.lit(None).cast("string"))
    return condition.alias("has_label_issue"), apply
