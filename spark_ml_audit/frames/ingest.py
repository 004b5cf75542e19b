"""A source as understood: its layout, its repeated ids, and the frame that every pass reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import narwhals as nw
import pyarrow as pa

from spark_ml_audit.arrow.layout import FAULT, ID, MARKS, REASONS, InputLayout
from spark_ml_audit.arrow.types import is_binary, is_integral, is_string, type_name
from spark_ml_audit.config.source import ColumnsConfig
from spark_ml_audit.engines.base import FEW_ROWS
from spark_ml_audit.engines.columns import column, in_frame
from spark_ml_audit.errors import InputError
from spark_ml_audit.frames.class_list import check_width, find_classes
from spark_ml_audit.frames.formats import label_columns_of, labels_format_of, probs_format_of
from spark_ml_audit.frames.hints import Hint, first_rows, hints_of
from spark_ml_audit.frames.hints.columns import source_field

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Engine, Frame
    from spark_ml_audit.kernels.calibrate import Calibrators

# Repeated ids up to this many travel to the tasks as literals; more are joined. Bytes always are: narwhals
# makes no list of them.
_MAX_LITERAL_IDS = 1000
# Up to this many are known on the driver; to find more, every pass counts all ids anew.
_MAX_KNOWN_IDS = FEW_ROWS


@dataclass(frozen=True)
class Ingest:
    """A source as understood.

    Attributes:
        engine: What runs its frame.
        frame: The source.
        schema: Its columns.
        layout: How to read it.
        notes: What automatic detection found, one sentence each.
        hints: Likely mistakes seen in the rows that come first.
        repeated: Frame of the ids that occur more than once (column `id`), or None.
        repeated_ids: Their values instead where they are few.
        has_null_ids: Whether rows may have no id; known once repeated ids are.
        marks: What is known of cells, as frame of `id` and `marks` (see `layout`), one row per id; or None.
    """

    engine: Engine
    frame: Frame
    schema: pa.Schema
    layout: InputLayout
    notes: tuple[str, ...] = ()
    hints: tuple[Hint, ...] = ()
    repeated: Frame | None = None
    repeated_ids: tuple[Any, ...] = ()
    has_null_ids: bool = True
    marks: Frame | None = None

    @property
    def id_type(self) -> Any:
        """Arrow type of the id column."""
        return self.schema.field(self.layout.id).type

    def calibrated(self, calibrators: Calibrators) -> Ingest:
        """The same rows with calibrated probabilities, which are float64."""
        return replace(self, layout=replace(self.layout, dtype="float64", calibrators=calibrators))

    def task_frame(self, *, with_id: bool, carry: nw.Expr | None = None) -> Frame:
        """The frame of the passes: fault code, labels, probabilities and, if asked for, the id.

        Args:
            with_id: Whether to add the column `id`, and with it the marks if there are any; it is there too
                where probabilities depend on it.
            carry: Anything else to hand through, as column `carried`.
        """
        layout = self.layout
        with_id = with_id or layout.needs_id
        source = self.engine.with_arrays(self.frame, [*layout.labels, *layout.pred_probs])
        if not layout.id:
            return source.select(_code(0).alias(FAULT), *self._value_columns(carry))
        id_column, fault = column(layout.id), _code(0)
        if self.repeated is not None:
            marked = self.repeated.select(
                nw.col(ID).alias("__repeated_id"), nw.lit(True).alias("__is_repeated")
            )
            source = source.join(marked, left_on=in_frame(layout.id), right_on="__repeated_id", how="left")
            fault = (
                nw.when(~nw.col("__is_repeated").is_null())
                .then(_code(REASONS["id_duplicate"]))
                .otherwise(fault)
            )
        elif self.repeated_ids:
            is_repeated = id_column.is_in(self.repeated_ids)
            fault = nw.when(is_repeated).then(_code(REASONS["id_duplicate"])).otherwise(fault)
        # a pass without ids need not read the column where no fault can be in it
        if self.has_null_ids:
            fault = nw.when(id_column.is_null()).then(_code(REASONS["id_null"])).otherwise(fault)
        columns = [fault.alias(FAULT)]
        if with_id:
            columns.insert(0, id_column.alias(ID))
            if self.marks is not None:
                known = self.marks.select(nw.col(ID).alias("__marked_id"), nw.col(MARKS).alias("__marks"))
                source = source.join(known, left_on=in_frame(layout.id), right_on="__marked_id", how="left")
                columns.append(nw.col("__marks").alias(MARKS))
        return source.select(*columns, *self._value_columns(carry))

    def _value_columns(self, carry: nw.Expr | None) -> list[nw.Expr]:
        layout = self.layout
        columns = [] if carry is None else [carry.alias("carried")]
        for names, targets in (
            (layout.labels, layout.label_columns),
            (layout.pred_probs, layout.prob_columns),
        ):
            columns += [column(name).alias(target) for name, target in zip(names, targets, strict=True)]
        return columns


def _code(number: int) -> nw.Expr:
    return nw.lit(number, dtype=nw.Int8)


def inspect_source(
    engine: Engine,
    frame: Frame,
    columns: ColumnsConfig,
    properties: Mapping[str, str] | None = None,
    *,
    schema: pa.Schema | None = None,
    with_id: bool = True,
) -> Ingest:
    """Understand a source: check its columns, detect formats, find the classes.

    Args:
        engine: What runs the frame.
        frame: The source.
        columns: What the config says.
        properties: Table properties of the source.
        schema: Its columns, with their metadata, where they are known beside the frame.
        with_id: Whether rows have an id; without one, none is looked for and none is checked.

    Raises:
        InputError: A column is missing or of a type that cannot serve, a format cannot be decided, there
            is no class list or it does not fit the probabilities.
    """
    notes: list[str] = []
    schema = engine.schema(frame) if schema is None else schema
    if with_id:
        check_id(schema, columns.id)
    probs, probs_format, dtype = probs_format_of(schema, columns, notes)
    labels = label_columns_of(schema, columns)
    arrays = engine.with_arrays(frame, [*labels, *probs])
    classes = find_classes(engine, arrays, schema, columns, probs, probs_format, properties or {}, notes)
    first = first_rows(engine, arrays, [*labels, *probs], len(classes))
    check_width(engine, arrays, probs, probs_format, classes, first)
    labels_format = labels_format_of(engine, arrays, schema, columns, labels, len(classes), notes, first)
    layout = InputLayout(
        columns.id if with_id else "",
        labels,
        labels_format,
        columns.labels_delimiter,
        probs,
        probs_format,
        dtype,
        tuple(classes),
        empty_is_unlabelled=columns.empty_labels == "not_annotated",
    )
    return Ingest(engine, frame, schema, layout, tuple(notes), hints_of(first, layout))


def check_id(schema: pa.Schema, name: str) -> None:
    """Refuse an id column that is missing or of a type that cannot name a row.

    Raises:
        InputError: It is (key `source.id`).
    """
    kind = source_field(schema, name, "source.id").type
    if not (is_string(kind) or is_integral(kind) or is_binary(kind) or pa.types.is_date(kind)):
        raise InputError(
            f"column '{name}' is {type_name(kind)}, which cannot name a row.",
            key="source.id",
            fix="Use a string, integral, date or binary column.",
        )


def find_repeated_ids(ingest: Ingest) -> Ingest:
    """Find ids that occur more than once, and whether any is null (a distributed count by id)."""
    ids = ingest.frame.select(column(ingest.layout.id).alias(ID))
    counted = ids.group_by(ID).agg(nw.len().alias("times"))
    at_fault = counted.filter((nw.col("times") > 1) | nw.col(ID).is_null()).select(ID)
    found = ingest.engine.collect(at_fault.head(_MAX_KNOWN_IDS + 2)).column(ID)
    repeated = found.drop_null()
    if len(repeated) > _MAX_KNOWN_IDS:  # a null may be among those not collected
        return replace(ingest, repeated=at_fault.filter(~nw.col(ID).is_null()))
    known = replace(ingest, has_null_ids=found.null_count > 0)
    if len(repeated) > _MAX_LITERAL_IDS or (len(repeated) and is_binary(ingest.id_type)):
        return replace(known, repeated=ingest.engine.from_arrow(pa.table({ID: repeated})))
    return replace(known, repeated_ids=tuple(repeated.to_pylist()))
