"""Drawing cells to review: one pass that counts every stratum and keeps its cells with the lowest hashes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from spark_ml_audit.arrow.decode import decode_batches
from spark_ml_audit.arrow.encode import EXTRANEOUS
from spark_ml_audit.arrow.hashes import hash_values
from spark_ml_audit.arrow.layout import ID, MARKS
from spark_ml_audit.engines.base import Batches
from spark_ml_audit.engines.columns import column
from spark_ml_audit.frames.class_list import class_frame
from spark_ml_audit.frames.ingest import Ingest
from spark_ml_audit.kernels.review_sampling import CellDraw, cell_hashes, stratum_codes

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Engine, Frame

_STRATUM, _COUNT, _HASH, _CLASS, _PROB = "stratum", "count", "hash", "class_index", "pred_prob"
_DRAWN = pa.schema(
    [
        (_STRATUM, pa.int32()),
        (_COUNT, pa.int64()),
        (_HASH, pa.int64()),
        (_CLASS, pa.int32()),
        (_PROB, pa.float64()),
    ]
)


def flagged_marks(engine: Engine, tag_issues: Frame, id_name: str, classes: Sequence[str]) -> Frame:
    """The flagged cells of a run as marks: per id, 2 * class + 1 where the tag is given."""
    code = nw.col("class_index") * 2 + nw.when(nw.col("issue") == EXTRANEOUS).then(1).otherwise(0)
    cells = tag_issues.select(column(id_name).alias(ID), nw.col("tag"), nw.col("issue"))
    known = cells.join(class_frame(engine, classes), on="tag", how="inner")
    return engine.lists(known.select(ID, code.cast(nw.Int32).alias(MARKS)), [ID], MARKS)


def draw_cells(ingest: Ingest, flagged: Frame, *, seed: int, most: int) -> pa.Table:
    """Up to `most` cells of every stratum, a simple random sample of each that depends on ids and seed alone.

    Args:
        ingest: The audited rows, repeated ids known.
        flagged: From `flagged_marks`.
        seed: Another one draws other cells.
        most: Cells to draw per stratum, at most.

    Returns:
        Columns stratum (code), size (of the stratum), hash, id, class_index, pred_prob, in the order of
        stratum and hash; at most ``most * len(STRATA)`` rows, strata without cells missing.
    """
    ingest = replace(ingest, marks=flagged)
    layout, num_classes = ingest.layout, ingest.layout.num_classes
    frame = ingest.task_frame(with_id=True)

    def run(batches: Batches) -> Batches:
        draw = CellDraw(most)
        id_arrow: Any = None
        for decoded in decode_batches(batches, layout):
            ids = decoded.source.column(ID)
            id_arrow = ids.type
            flags = np.zeros(0, dtype=np.int64)
            if decoded.marks is not None:
                flags = decoded.marks[0] * num_classes + decoded.marks[1] // 2
            codes = stratum_codes(decoded.pred_probs, decoded.rows, decoded.cols, flags)
            hashes = cell_hashes(hash_values(ids, seed)[decoded.audited], num_classes)
            found = draw.select(codes, hashes)
            if len(found):
                rows, cols = np.divmod(found, num_classes)
                cells: dict[str, npt.NDArray[Any]] = {
                    _STRATUM: codes.ravel()[found].astype(np.int32),
                    _COUNT: np.zeros(len(found), dtype=np.int64),
                    _HASH: hashes.ravel()[found],
                    _CLASS: cols.astype(np.int32),
                    _PROB: decoded.pred_probs[rows, cols].astype(np.float64),
                }
                yield _batch(ids.take(pa.array(decoded.audited[rows])), cells)
        seen = np.flatnonzero(draw.counts)
        if len(seen):
            counted: dict[str, npt.NDArray[Any]] = {
                _STRATUM: seen.astype(np.int32),
                _COUNT: draw.counts[seen],
            }
            yield _batch(pa.nulls(len(seen), id_arrow), counted)

    drawn = ingest.engine.map_batches(frame, run, keep=(ID,), add=_DRAWN)
    # what tasks return is bounded by strata and tasks
    return _lowest(ingest.engine.collect(drawn), most)


def _lowest(drawn: pa.Table, most: int) -> pa.Table:
    """Of every stratum its size and its cells with the lowest hashes, from what all tasks have drawn."""
    stratum = drawn.column(_STRATUM).to_numpy()
    sizes = np.bincount(stratum, drawn.column(_COUNT).to_numpy()).astype(np.int64)
    cells = drawn.filter(pc.is_valid(drawn.column(_HASH)))
    cells = cells.sort_by([(name, "ascending") for name in (_STRATUM, _HASH, ID, _CLASS)])
    stratum = cells.column(_STRATUM).to_numpy()
    place = np.arange(len(stratum)) - np.searchsorted(stratum, stratum)
    cells = cells.append_column("size", pa.array(sizes[stratum]))
    return cells.filter(pa.array(place < most)).select([_STRATUM, "size", _HASH, ID, _CLASS, _PROB])


def _batch(ids: Any, values: Mapping[str, npt.NDArray[Any]]) -> Any:
    """Rows of what was drawn; columns without values are null."""
    columns = [
        pa.array(values[field.name], field.type) if field.name in values else pa.nulls(len(ids), field.type)
        for field in _DRAWN
    ]
    return pa.RecordBatch.from_arrays([ids, *columns], names=[ID, *_DRAWN.names])
