"""Rows of a source as audited: texts and probabilities of a few of them, by id."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import narwhals as nw
import pyarrow as pa

from spark_ml_audit.app.reader import RowContent
from spark_ml_audit.arrow.decode import decode_batches
from spark_ml_audit.arrow.layout import AUDITED, ID, UNLABELLED
from spark_ml_audit.arrow.types import is_string
from spark_ml_audit.engines.columns import column, field, in_frame
from spark_ml_audit.report.texts import as_texts
from spark_ml_audit.reviewing.audited import ingest_of, source_of

if TYPE_CHECKING:
    from spark_ml_audit.config import AuditSource
    from spark_ml_audit.config.serve import ServeConfig, ServeSection
    from spark_ml_audit.frames.ingest import Ingest
    from spark_ml_audit.lake.output import OutputTables
    from spark_ml_audit.outcomes.runs import FinishedRun

MOST_TEXT = 2_000_000
"""Letters of one value that a page gets."""

_MOST_SHOWN = 4


class SourceRows:
    """The audited rows of a source at the version that was audited, whatever its format.

    Args:
        tables: The output, by an engine that nobody else uses.
        run: The audit.
        id_type: Arrow type of its ids.
        config: Of the command.
        shares: Rows that the same engine reads: it serves one caller at a time of both.
    """

    def __init__(
        self,
        tables: OutputTables,
        run: FinishedRun,
        id_type: Any,
        config: ServeConfig,
        *,
        shares: SourceRows | None = None,
    ) -> None:
        self._tables = tables
        self._run = run
        self._id_type = id_type
        self._config = config
        self._lock: AbstractContextManager[Any] = threading.RLock() if shares is None else shares._lock

    @cached_property
    def _ingest(self) -> Ingest:
        """The rows with their probabilities: those of the source, or of what was predicted for it."""
        return ingest_of(self._tables, self._run, source_of(self._run, self._config.source))

    @cached_property
    def shown(self) -> tuple[str, ...]:
        """Columns that are shown: those asked for, else those of the report, else the first texts.

        Raises:
            InputError: There is no such column.
        """
        with self._lock:
            ingest = self._ingest
        return shown_columns(self._config.serve, source_of(self._run, self._config.source), ingest)

    def rows(self, ids: Sequence[Any]) -> dict[Any, RowContent]:
        """Some rows by id, those that are there.

        Args:
            ids: A few dozen: they are read in one go.
        """
        names = self.shown
        with self._lock:
            ingest = self._ingest
            engine = ingest.engine
            wanted = engine.from_arrow(pa.table({"wanted": pa.array(list(ids), self._id_type)}))
            own = ingest.frame.join(
                wanted, left_on=in_frame(self._run.id_name), right_on="wanted", how="semi"
            )
            return contents_of(replace(ingest, frame=own), names)


def shown_columns(options: ServeSection, source: AuditSource, ingest: Ingest) -> tuple[str, ...]:
    """Columns that are shown: those asked for, else those of the report, else the first texts.

    Args:
        options: The section `serve`.
        source: How the audit read its source.
        ingest: The source as understood.

    Raises:
        InputError: There is no such column.
    """
    schema, layout = ingest.schema, ingest.layout
    image = (options.image,) if options.image else ()
    asked = (options.show,) if isinstance(options.show, str) else options.show
    named = tuple(asked or source.shown_columns)
    for name in (*named, *image):
        field(schema, name, "serve.show" if name in named else "serve.image")
    if not named:
        used = {layout.id, *layout.labels, *layout.pred_probs, *image}
        texts = [item.name for item in schema if is_string(item.type) and item.name not in used]
        named = tuple(texts[:_MOST_SHOWN])
    return tuple(dict.fromkeys((*named, *image)))


def contents_of(ingest: Ingest, names: Sequence[str]) -> dict[Any, RowContent]:
    """The audited rows of a small source, and those without tags, by id.

    Args:
        ingest: The source as understood; a few dozen rows.
        names: Columns that are shown.
    """
    engine = ingest.engine
    ingest = replace(ingest, frame=engine.with_arrays(ingest.frame, names))
    beside = [column(name).alias(f"of_{place}") for place, name in enumerate(names)]
    frame = ingest.task_frame(with_id=True, carry=nw.struct(*beside) if beside else None)
    batches = engine.collect(frame).combine_chunks().to_batches()
    found: dict[Any, RowContent] = {}
    for status, decoded in (
        (wanted, decoded)
        for wanted in (AUDITED, UNLABELLED)
        for decoded in decode_batches(batches, ingest.layout, wanted)
    ):
        source = decoded.source.take(pa.array(decoded.audited))
        carried: Any = source.column("carried") if names else None
        texts = [as_texts(carried.field(place), MOST_TEXT) for place in range(len(names))]
        for place, row_id in enumerate(source.column(ID).to_pylist()):
            given = tuple(decoded.cols[decoded.rows == place].tolist())
            values = dict(zip(names, (own[place] for own in texts), strict=True))
            found[row_id] = RowContent(given, decoded.pred_probs[place].copy(), values, status == AUDITED)
    return found
