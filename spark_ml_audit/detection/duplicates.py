"""Near-duplicates whose tags differ: the same thing, tagged in two ways.

Rows with the same content hash are exact duplicates. Among distinct contents, those that share a key of
`kernels.lsh` become candidates, whose similarity is computed from their content; pairs at or above the
threshold are joined into groups. Every step is a join or an aggregate over keys; no row meets all others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from spark_ml_audit.arrow.encode import TAG_LIST, tag_lists
from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.config.detect import DuplicatesConfig
from spark_ml_audit.detection.content_hashes import BODY, CONTENT, KEYS, DuplicateFinder, content_hashes
from spark_ml_audit.detection.outliers import most_common_width_of
from spark_ml_audit.engines.base import Batches, Engine
from spark_ml_audit.engines.columns import field
from spark_ml_audit.errors import InputError
from spark_ml_audit.frames.features import plain_type
from spark_ml_audit.frames.ingest import Ingest
from spark_ml_audit.kernels.lsh import cosine, jaccard

# Rows that share a key are compared with this many next ones (by content hash), and with the first.
_REACH = 16
# Pairs that are joined into groups on the driver; the most similar ones, if there are more.
_MAX_PAIRS = 2_000_000


@dataclass(frozen=True)
class DuplicatesFound:
    """The table `duplicates` as a frame, and what a user should know."""

    frame: DataFrame
    warnings: tuple[str, ...]


def plan_duplicates(ingest: Ingest, config: DuplicatesConfig) -> DuplicateFinder | None:
    """Check the columns; None where no row has a usable embedding.

    Raises:
        InputError: A column is missing or of the wrong type.
    """
    names = config.columns
    kind = "text" if config.text else "embedding"
    fitting = ("string", "array<string>") if config.text else ("array<float>", "array<double>")
    for name in names:
        key = f"detect.duplicates.{kind}"
        found = plain_type(field(ingest.frame, name, key).dataType)
        if found.partition("(")[0] not in (*fitting, "varchar", "char"):
            raise InputError(
                f"column '{name}' is {found}, which is no {kind} column.",
                key=key,
                fix=f"Use a column of type {' or '.join(fitting)}.",
            )
    width = 0
    if config.embedding is not None:
        width = most_common_width_of(ingest, config.embedding)
        if not width:
            return None
    return DuplicateFinder(ingest, names, width, config.least_similarity, config.keep == "all")


def find_duplicates_frame(finder: DuplicateFinder) -> DuplicatesFound:
    """Group the audited and unlabelled rows by content.

    Returns:
        Columns id, group_id, similarity, kind, given_tags, differing_tags, majority_tags, lazily: the pairs
        alone are computed now.
    """
    warnings = []
    pairs = _similar_pairs(finder)
    engine = finder.ingest.engine
    found = _collect_pairs(engine, pairs)
    if len(found["similarity"]) > _MAX_PAIRS:
        warnings.append(
            f"More than {_MAX_PAIRS:,} pairs of near-duplicates: only the most similar ones were grouped. "
            "A higher detect.duplicates.threshold makes fewer."
        )
        most = pairs.orderBy(F.desc("similarity"), "first", "second").limit(_MAX_PAIRS)
        found = _collect_pairs(engine, most)
    crowded = int(np.count_nonzero(found["crowded"]))
    if crowded:
        warnings.append(
            f"{crowded:,} pairs of near-duplicates lie in crowds of more than {_REACH} rows alike in part; "
            "there each row was compared with its neighbours only, and groups may be incomplete."
        )
    groups = _groups_of(engine, found)
    return DuplicatesFound(_grouped_rows(finder, groups), tuple(warnings))


# ---- pairs -----------------------------------------------------------------------------------------


def _similar_pairs(finder: DuplicateFinder) -> DataFrame:
    """Pairs of distinct contents at or above the threshold: first, second, similarity, crowded."""
    keyed = content_hashes(finder, keys=True).groupBy(CONTENT).agg(F.first(KEYS).alias(KEYS))
    shared = keyed.select(F.col(CONTENT), F.explode(KEYS).alias("key"))
    by_key = Window.partitionBy("key").orderBy(CONTENT)
    following = [F.lead(CONTENT, i).over(by_key) for i in range(1, _REACH + 1)]
    # within a key, every row meets the next few and the first; `crowded` says that this is not all
    met = shared.select(
        F.col(CONTENT).alias("first"),
        F.array(*following, F.first(CONTENT).over(by_key)).alias("seconds"),
        F.lead(CONTENT, _REACH + 1).over(by_key).isNotNull().alias("crowded"),
    ).where(F.col("seconds")[0].isNotNull() | (F.col("seconds")[_REACH] != F.col("first")))
    each = met.select("first", F.explode("seconds").alias("second"), "crowded").where(
        F.col("second").isNotNull() & (F.col("first") != F.col("second"))
    )
    pairs = (
        each.select(
            F.least("first", "second").alias("first"),
            F.greatest("first", "second").alias("second"),
            "crowded",
        )
        .groupBy("first", "second")
        .agg(F.max("crowded").alias("crowded"))
    )
    bodies = content_hashes(finder, body=True).groupBy(CONTENT).agg(F.first(BODY).alias(BODY))
    for side in ("first", "second"):
        pairs = pairs.join(bodies.select(F.col(CONTENT).alias(side), F.col(BODY).alias(f"{side}_body")), side)
    return _verified(pairs, finder)


def _verified(pairs: DataFrame, finder: DuplicateFinder) -> DataFrame:
    threshold, is_text, width = finder.threshold, finder.is_text, finder.width
    kept_columns = ("first", "second", "crowded")
    added = pa.schema([("similarity", pa.float64())])

    def run(batches: Batches) -> Batches:
        for batch in batches:
            bodies = [batch.column(f"{side}_body") for side in ("first", "second")]
            if is_text:
                sides = [
                    np.split(body.flatten().to_numpy(), np.cumsum(body.value_lengths().to_numpy())[:-1])
                    for body in bodies
                ]
                found = np.array([jaccard(a, b) for a, b in zip(*sides, strict=True)], dtype=np.float64)
            else:
                found = cosine(*[body.flatten().to_numpy().reshape(-1, width) for body in bodies])
            kept = pa.array(np.flatnonzero(found >= threshold))
            arrays = [*[batch.column(name) for name in kept_columns], pa.array(found)]
            names = [*kept_columns, *added.names]
            yield pa.RecordBatch.from_arrays([array.take(kept) for array in arrays], names=names)

    return finder.ingest.engine.map_batches(pairs, run, keep=kept_columns, add=added)


def _collect_pairs(engine: Engine, pairs: DataFrame) -> dict[str, Any]:
    table = engine.collect(pairs.limit(_MAX_PAIRS + 1))
    return {name: table.column(name).to_numpy() for name in table.column_names}


def _groups_of(engine: Engine, pairs: dict[str, Any]) -> DataFrame:
    """Connected contents: content, its group (the least content), its largest similarity."""
    import scipy.sparse as sp

    first, second = pairs["first"].astype(np.int64), pairs["second"].astype(np.int64)
    nodes, places = np.unique(np.concatenate([first, second]), return_inverse=True)
    left, right = places[: len(first)], places[len(first) :]
    graph = sp.coo_matrix((np.ones(len(left)), (left, right)), shape=(len(nodes), len(nodes)))
    labels = sp.csgraph.connected_components(graph, directed=False)[1] if len(nodes) else np.zeros(0, int)
    least = np.full(len(nodes), np.iinfo(np.int64).max)
    np.minimum.at(least, labels, nodes)
    nearest = np.zeros(len(nodes))
    for side in (left, right):
        np.maximum.at(nearest, side, pairs["similarity"])
    columns = {"content": nodes, "near_group": least[labels], "nearest": nearest}
    return engine.from_arrow(pa.table(columns))


# ---- groups ----------------------------------------------------------------------------------------


def _grouped_rows(finder: DuplicateFinder, groups: DataFrame) -> DataFrame:
    rows = content_hashes(finder, tags=True).join(groups, CONTENT, "left")
    rows = rows.withColumn("group", F.coalesce("near_group", CONTENT))
    # one row per tag and one without, so that sizes and tags are counted in one pass
    marker = F.array(F.lit(None).cast("int"))
    each = rows.select(
        "group",
        CONTENT,
        F.col("given").isNotNull().cast("int").alias("labelled"),
        F.explode(F.concat(marker, F.coalesce("given", F.array().cast("array<int>")))).alias("tag"),
    )
    counted = each.groupBy("group", "tag").agg(F.count("*").alias("n"), F.sum("labelled").alias("labelled"))
    is_marker = F.col("tag").isNull()
    stats = counted.groupBy("group").agg(
        F.max(F.when(is_marker, F.col("n"))).alias("size"),
        F.max(F.when(is_marker, F.col("labelled"))).alias("labelled"),
        F.collect_list(F.when(~is_marker, F.struct("tag", "n"))).alias("tags"),
    )

    def chosen(condition: Any) -> Column:
        return F.array_sort(F.transform(F.filter("tags", condition), lambda tag: tag["tag"]))

    stats = stats.where(F.col("size") > 1).select(
        "group",
        chosen(lambda tag: tag["n"] < F.col("labelled")).alias("differing"),
        chosen(lambda tag: tag["n"] * 2 > F.col("labelled")).alias("majority"),
    )
    if not finder.keep_all:
        stats = stats.where(F.size("differing") > 0)
    copies = Window.partitionBy(CONTENT)
    found = rows.join(stats, "group").withColumn("copies", F.count("*").over(copies))
    exact = F.col("copies") > 1
    return _named(
        found.select(
            ID,
            F.lower(F.lpad(F.hex("group"), 16, "0")).alias("group_id"),
            F.when(exact, 1.0).otherwise(F.col("nearest")).alias("similarity"),
            F.when(exact, "exact").otherwise("near").alias("kind"),
            "given",
            "differing",
            "majority",
        ),
        finder,
    )


def _named(frame: DataFrame, finder: DuplicateFinder) -> DataFrame:
    """Class indices spelled out."""
    layout = finder.ingest.layout
    kept = (ID, "group_id", "similarity", "kind")
    added = pa.schema([(name, TAG_LIST) for name in ("given_tags", "differing_tags", "majority_tags")])

    def run(batches: Batches) -> Batches:
        classes = pa.array(layout.classes, pa.string())
        for batch in batches:
            columns = [batch.column(name) for name in kept]
            for name in ("given", "differing", "majority"):
                lists = batch.column(name)
                lengths = lists.value_lengths().fill_null(0).to_numpy()
                rows = np.repeat(np.arange(batch.num_rows), lengths)
                spelled = tag_lists((rows, lists.flatten().to_numpy()), batch.num_rows, classes)
                nulls = pa.array(np.where(lists.is_null().to_numpy(zero_copy_only=False), -1, 0))
                columns.append(_with_nulls(spelled, nulls))
            yield pa.RecordBatch.from_arrays(columns, names=[*kept, *added.names])

    named = finder.ingest.engine.map_batches(frame, run, keep=kept, add=added)
    return named.withColumnRenamed(ID, layout.id)


def _with_nulls(array: Any, nulls: Any) -> Any:
    missing = nulls.to_numpy() < 0
    if not missing.any():
        return array
    return array.take(pa.array(np.arange(len(array)), mask=missing))
