"""Flags and verdicts by the people who gave the tags: counted batch by batch, to be added up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spark_ml_audit.arrow.lists import lengths_of, lists_contain, rows_of_lists
from spark_ml_audit.arrow.types import is_list
from spark_ml_audit.arrow.value_texts import value_texts

ANNOTATOR = "annotator"
COUNTS = ("num_rows", "num_given", "num_extraneous", "num_missing", "num_judged", "num_wrong")
"""Columns of what is counted."""

COUNTED = pa.schema([(ANNOTATOR, pa.string()), *[(name, pa.int64()) for name in COUNTS]])


def takes(kind: Any) -> bool:
    """Whether a column can name annotators: texts, whole numbers, lists of these, maps from tags to them."""
    if pa.types.is_map(kind):
        return takes(kind.item_type) and not is_list(kind.item_type) and pa.types.is_string(kind.key_type)
    if is_list(kind):
        return takes(kind.value_type) and not is_list(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind))


def count_flags(batch: Any, columns: Sequence[str]) -> Any:
    """Rows, given tags and flags of a batch by annotator.

    A map from tags to people gives given and extraneous tags to the person named for them; other columns give
    all of a row to everybody whom they name. Missing tags, which nobody gave, go to everybody of the row.

    Args:
        batch: Columns given_tags, extraneous_tags, missing_tags, and those that name people.
        columns: Names of the latter.

    Returns:
        A batch of `COUNTED`, one row per annotator.
    """
    people = [batch.column(name) for name in columns]
    rows, names = _people(people, batch.num_rows)
    lengths = {
        name: lengths_of(batch.column(name)) for name in ("given_tags", "extraneous_tags", "missing_tags")
    }
    maps = [values for values in people if pa.types.is_map(values.type)]
    parts = [_part(names, num_rows=np.ones(len(rows)), num_missing=lengths["missing_tags"][rows])]
    if maps and len(maps) == len(people):
        for values in maps:
            for name, count in (("given_tags", "num_given"), ("extraneous_tags", "num_extraneous")):
                parts.append(_part(_named_for(values, batch.column(name)), **{count: None}))
    else:
        both = {"num_given": lengths["given_tags"][rows], "num_extraneous": lengths["extraneous_tags"][rows]}
        parts.append(_part(names, **both))
    return _summed(parts)


def count_verdicts(batch: Any, columns: Sequence[str]) -> Any:
    """Judged cells of a batch and those whose given value is wrong, by annotator, as `count_flags`.

    Args:
        batch: One row per judged cell: tag, verdict (present or absent), given_tags, and those that name
            people.
        columns: Names of the latter.
    """
    has_tag = np.asarray(lists_contain(batch.column("given_tags"), batch.column("tag")))
    says = np.asarray(pc.equal(batch.column("verdict"), "present"))
    wrong = (has_tag != says).astype(np.int64)
    people = [batch.column(name) for name in columns]
    rows, names = _people(people, batch.num_rows)
    if people and all(pa.types.is_map(values.type) for values in people):
        # a tag that is there has one who gave it
        own = np.zeros(len(rows), dtype=bool)
        tags = batch.column("tag")
        for values in people:
            at, keys, items = _entries(values)
            hits = np.asarray(pc.fill_null(pc.equal(keys, tags.take(pa.array(at))), False))
            named = set(zip(at[hits].tolist(), items.filter(pa.array(hits)).to_pylist(), strict=True))
            own |= np.array(
                [pair in named for pair in zip(rows.tolist(), names.to_pylist(), strict=True)], bool
            )
        kept = own | ~has_tag[rows]
        rows, names = rows[kept], names.filter(pa.array(kept))
    return _summed([_part(names, num_judged=np.ones(len(rows)), num_wrong=wrong[rows])])


def _people(columns: Sequence[Any], num_rows: int) -> tuple[np.ndarray[Any, Any], Any]:
    """Everybody whom the columns name, once per row: the row, and the name as text."""
    rows, names = [np.zeros(0, dtype=np.int64)], [pa.array([], pa.string())]
    for values in columns:
        if pa.types.is_map(values.type):
            at, _, found = _entries(values)
        elif is_list(values.type):
            at, found = rows_of_lists(values), _texts(pc.list_flatten(values))
        else:
            at, found = np.arange(num_rows), _texts(values)
        is_named = np.asarray(pc.fill_null(pc.not_equal(found, ""), False))
        rows.append(at[is_named])
        names.append(found.filter(pa.array(is_named)))
    table = pa.table({"row": np.concatenate(rows), ANNOTATOR: pa.chunked_array(names)})
    once = table.group_by(["row", ANNOTATOR]).aggregate([])
    return once.column("row").to_numpy(), once.column(ANNOTATOR).combine_chunks()


def _entries(maps: Any) -> tuple[np.ndarray[Any, Any], Any, Any]:
    """Row, key and item, as text, of every entry of a column of maps."""
    pairs = maps.cast(pa.list_(pa.struct([("key", maps.type.key_type), ("value", maps.type.item_type)])))
    flat = pc.list_flatten(pairs)
    return rows_of_lists(pairs), flat.field("key"), _texts(flat.field("value"))


def _texts(values: Any) -> Any:
    texts = values if pa.types.is_string(values.type) else pa.array(value_texts(values), pa.string())
    return pc.utf8_trim_whitespace(texts)


def _named_for(maps: Any, tags: Any) -> Any:
    """The person named for each tag of each row; tags without one are left out."""
    at, keys, items = _entries(maps)
    entries = pa.table({"row": at, "tag": keys, ANNOTATOR: items})
    cells = pa.table({"row": rows_of_lists(tags), "tag": pc.list_flatten(tags)})
    found = cells.join(entries, keys=["row", "tag"], join_type="inner").column(ANNOTATOR).combine_chunks()
    return found.filter(pc.fill_null(pc.not_equal(found, ""), False))


def _part(names: Any, **counts: Any) -> Any:
    """A table of names beside counts; a count of None is 1 each."""
    columns = {ANNOTATOR: names}
    for name in COUNTS:
        given = counts.get(name, 0)
        values = np.ones(len(names)) if given is None else np.broadcast_to(given, len(names))
        columns[name] = pa.array(values.astype(np.int64))
    return pa.table(columns, schema=COUNTED)


def _summed(parts: Sequence[Any]) -> Any:
    table = pa.concat_tables(parts)
    summed = table.group_by(ANNOTATOR).aggregate([(name, "sum") for name in COUNTS])
    renamed = summed.select([ANNOTATOR, *[f"{name}_sum" for name in COUNTS]]).rename_columns(COUNTED.names)
    return _one_batch(renamed)


def _one_batch(table: Any) -> Any:
    columns = [table.column(name).combine_chunks() for name in COUNTED.names]
    return pa.RecordBatch.from_arrays(columns, schema=COUNTED)


def flags_of(batches: Iterator[Any], columns: Sequence[str]) -> Iterator[Any]:
    """`count_flags` of every batch."""
    return (count_flags(batch, columns) for batch in batches)


def verdicts_by(batches: Iterator[Any], columns: Sequence[str]) -> Iterator[Any]:
    """`count_verdicts` of every batch."""
    return (count_verdicts(batch, columns) for batch in batches)
