"""Drawing cells to review: one pass that counts every stratum and keeps its cells with the lowest hashes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql import types as T

from spark_ml_audit.arrow.decode import decode_batches
from spark_ml_audit.arrow.encode import EXTRANEOUS
from spark_ml_audit.arrow.layout import ID, MARKS
from spark_ml_audit.engines.columns import column
from spark_ml_audit.engines.plain_strings import plain_strings
from spark_ml_audit.frames.ingest import Ingest
from spark_ml_audit.frames.issues import id_field
from spark_ml_audit.kernels.review_sampling import STRATA, CellDraw, cell_hashes, stratum_codes
from spark_ml_audit.reviewing.decisions import class_frame

_STRATUM, _COUNT, _HASH, _CLASS, _PROB = "stratum", "count", "hash", "class_index", "pred_prob"


def flagged_marks(tag_issues: DataFrame, id_name: str, classes: Sequence[str]) -> DataFrame:
    """The flagged cells of a run as marks: per id, 2 * class + 1 where the tag is given."""
    known = F.broadcast(class_frame(tag_issues.sparkSession, classes))
    code = F.col("class_index") * 2 + (F.col("issue") == EXTRANEOUS).cast("int")
    cells = tag_issues.select(column(id_name).alias(ID), "tag", "issue").join(known, "tag")
    return cells.groupBy(ID).agg(F.collect_list(code).alias(MARKS))


def draw_cells(ingest: Ingest, flagged: DataFrame, *, seed: int, most: int) -> DataFrame:
    """Up to `most` cells of every stratum, a simple random sample of each that depends on ids and seed alone.

    Args:
        ingest: The audited rows, duplicate ids known.
        flagged: From `flagged_marks`.
        seed: Another one draws other cells.
        most: Cells to draw per stratum, at most.

    Returns:
        Columns stratum (code), size (of the stratum), hash, id, class_index, pred_prob; at most
        ``most * len(STRATA)`` rows, strata without cells missing.
    """
    ingest = replace(ingest, marks=flagged)
    layout, num_classes = ingest.layout, ingest.layout.num_classes
    frame = ingest.task_frame(with_id=True, carry=F.xxhash64(F.lit(seed), column(layout.id)))
    id_type = id_field(frame)
    schema = T.StructType(
        [
            T.StructField(_STRATUM, T.IntegerType()),
            T.StructField(_COUNT, T.LongType()),
            T.StructField(_HASH, T.LongType()),
            id_type,
            T.StructField(_CLASS, T.IntegerType()),
            T.StructField(_PROB, T.DoubleType()),
        ]
    )

    def run(batches: Iterator[Any]) -> Iterator[Any]:
        draw = CellDraw(most)
        id_arrow: Any = None
        for decoded in decode_batches(batches, layout):
            ids = decoded.source.column(ID)
            id_arrow = ids.type
            flags = np.zeros(0, dtype=np.int64)
            if decoded.marks is not None:
                flags = decoded.marks[0] * num_classes + decoded.marks[1] // 2
            codes = stratum_codes(decoded.pred_probs, decoded.rows, decoded.cols, flags)
            carried = decoded.source.column("carried").to_numpy(zero_copy_only=False)
            hashes = cell_hashes(carried[decoded.audited], num_classes)
            found = draw.select(codes, hashes)
            if len(found):
                rows, cols = np.divmod(found, num_classes)
                yield _cells(
                    codes.ravel()[found],
                    hashes.ravel()[found],
                    ids.take(pa.array(decoded.audited[rows])),
                    cols,
                    decoded.pred_probs[rows, cols],
                    schema.names,
                )
        seen = np.flatnonzero(draw.counts)
        if len(seen):
            yield pa.RecordBatch.from_arrays(
                [
                    pa.array(seen.astype(np.int32)),
                    pa.array(draw.counts[seen]),
                    pa.nulls(len(seen), pa.int64()),
                    pa.nulls(len(seen), id_arrow),
                    pa.nulls(len(seen), pa.int32()),
                    pa.nulls(len(seen), pa.float64()),
                ],
                names=schema.names,
            )

    # what tasks return is bounded by strata and tasks, so one window over it is cheap
    by_stratum = Window.partitionBy(_STRATUM)
    in_order = by_stratum.orderBy(F.col(_HASH).asc_nulls_last(), ID, _CLASS)
    return (
        plain_strings(frame.mapInArrow(run, schema))
        .withColumn("size", F.sum(_COUNT).over(by_stratum))
        .withColumn("place", F.row_number().over(in_order))
        .where(F.col(_HASH).isNotNull() & (F.col("place") <= most))
        .select(_STRATUM, "size", _HASH, ID, _CLASS, _PROB)
    )


def _cells(
    codes: npt.NDArray[Any],
    hashes: npt.NDArray[np.int64],
    ids: Any,
    cols: npt.NDArray[np.int64],
    probs: npt.NDArray[Any],
    names: list[str],
) -> Any:
    return pa.RecordBatch.from_arrays(
        [
            pa.array(codes.astype(np.int32)),
            pa.array(np.zeros(len(codes), dtype=np.int64)),
            pa.array(hashes),
            ids,
            pa.array(cols.astype(np.int32)),
            pa.array(probs.astype(np.float64)),
        ],
        names=names,
    )


def stratum_names() -> list[str]:
    """Names of the strata, by code."""
    return [stratum.name for stratum in STRATA]
