"""Near-duplicates whose tags differ: the same thing, tagged in two ways.

Rows with the same content hash are exact duplicates. Among distinct contents, those that share a key of
`kernels.lsh` become candidates, whose similarity is computed from their content; pairs at or above the
threshold are joined into groups. Every step is a join or an aggregate over keys; no row meets all others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np
import pyarrow as pa

from spark_ml_audit.arrow.encode import TAG_LIST, tag_lists
from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.arrow.lists import rows_of_lists
from spark_ml_audit.arrow.types import type_name
from spark_ml_audit.config.detect import DuplicatesConfig
from spark_ml_audit.detection.content_hashes import (
    BODY,
    CONTENT,
    GIVEN,
    KEYS,
    WITH_TAGS,
    DuplicateFinder,
    content_hashes,
)
from spark_ml_audit.detection.outliers import most_common_width_of
from spark_ml_audit.engines.base import Batches, Engine
from spark_ml_audit.engines.columns import field, in_frame
from spark_ml_audit.errors import InputError
from spark_ml_audit.frames.comparable import EMBEDDING_TYPES
from spark_ml_audit.frames.ingest import Ingest
from spark_ml_audit.kernels.lsh import cosine, jaccard

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Frame

# Rows that share a key are compared with this many next ones (by content hash), and with the first.
_REACH = 16
# Candidates up to this many are known on the driver, and nothing but their content is read then.
_MAX_KNOWN = 1_000_000
# Pairs that are joined into groups on the driver; the most similar ones, if there are more.
_MAX_PAIRS = 2_000_000
# What is said of a tag in a group, beside each other in one number: tag * 4 + these.
_DIFFERS, _IS_OF_MOST = 1, 2

_NO_PAIRS = {name: np.zeros(0) for name in ("first", "second", "crowded", "similarity")}


@dataclass(frozen=True)
class DuplicatesFound:
    """The table `duplicates` as a frame, and what a user should know."""

    frame: Frame
    warnings: tuple[str, ...]


def plan_duplicates(ingest: Ingest, config: DuplicatesConfig) -> DuplicateFinder | None:
    """Check the columns; None where no row has a usable embedding.

    Raises:
        InputError: A column is missing or of the wrong type.
    """
    names = config.columns
    kind = "text" if config.text else "embedding"
    fitting = ("string", "array<string>") if config.text else EMBEDDING_TYPES
    for name in names:
        key = f"detect.duplicates.{kind}"
        found = type_name(field(ingest.schema, name, key).type)
        if found not in fitting:
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
    engine = finder.ingest.engine
    candidates = _candidates(finder)
    known = engine.collect(candidates.head(_MAX_KNOWN + 1))
    pairs = _similar_pairs(finder, candidates if known.num_rows > _MAX_KNOWN else known)
    # nothing need be read to find that nothing is alike
    found = _collect_pairs(engine, pairs) if known.num_rows else _NO_PAIRS
    if len(found["similarity"]) > _MAX_PAIRS:
        warnings.append(
            f"More than {_MAX_PAIRS:,} pairs of near-duplicates: only the most similar ones were grouped. "
            "A higher detect.duplicates.threshold makes fewer."
        )
        most = pairs.sort("similarity", "first", "second", descending=[True, False, False]).head(_MAX_PAIRS)
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


def _candidates(finder: DuplicateFinder) -> Frame:
    """Pairs of distinct contents that share a key, as far as they meet: first, second, crowded."""
    keyed = _once(content_hashes(finder, keys=True))
    shared = keyed.select(nw.col(CONTENT).alias("own"), nw.col(KEYS).alias("key")).explode("key")

    def following(reach: int) -> nw.Expr:
        return nw.col("own").shift(-reach).over("key", order_by="own")

    # within a key, every row meets the next few and the first; `crowded` says that this is not all
    reached = [following(i).alias(f"next_{i}") for i in range(1, _REACH + 1)]
    first = nw.col("own").cum_min().over("key", order_by="own").alias("first")
    met = shared.with_columns(*reached, first, following(_REACH + 1).alias("beyond"))
    met = met.filter(~nw.col("next_1").is_null() | (nw.col("first") != nw.col("own")))
    others = nw.list(*[f"next_{i}" for i in range(1, _REACH + 1)], "first").alias("other")
    each = met.select("own", others, (~nw.col("beyond").is_null()).alias("crowded")).explode("other")
    each = each.filter(~nw.col("other").is_null() & (nw.col("other") != nw.col("own")))
    pairs = each.select(
        nw.min_horizontal("own", "other").alias("first"),
        nw.max_horizontal("own", "other").alias("second"),
        "crowded",
    )
    return pairs.group_by("first", "second").agg(nw.col("crowded").max())


def _once(rows: Frame) -> Frame:
    """One row of each content: its keys and its body are those of all of them."""
    return rows.unique(subset=[CONTENT], keep="any")


def _similar_pairs(finder: DuplicateFinder, candidates: Frame | pa.Table) -> Frame:
    """Candidates at or above the threshold: first, second, crowded, similarity.

    Args:
        finder: How rows are compared.
        candidates: A table where they are known: what only others hold is not read then.
    """
    only = None
    if isinstance(candidates, pa.Table):
        only = np.unique(np.concatenate([candidates.column(name).to_numpy() for name in ("first", "second")]))
        candidates = finder.ingest.engine.from_arrow(candidates)
    bodies = _once(content_hashes(finder, body=True, only=only)).select(CONTENT, BODY)
    # both sides in one join, so that bodies are made once
    sides = candidates.with_columns(nw.list("first", "second").alias(CONTENT)).explode(CONTENT)
    held = sides.join(bodies, on=CONTENT, how="inner")
    of_side = {
        side: nw.when(nw.col(CONTENT) == nw.col(side)).then(nw.col(BODY)) for side in ("first", "second")
    }
    pairs = held.group_by("first", "second").agg(
        nw.col("crowded").max(), *[body.max().alias(f"{side}_body") for side, body in of_side.items()]
    )
    return _verified(pairs, finder)


def _verified(pairs: Frame, finder: DuplicateFinder) -> Frame:
    threshold, is_text, width = finder.threshold, finder.is_text, finder.width
    kept_columns = ("first", "second", "crowded")
    added = pa.schema([("similarity", pa.float64())])

    def run(batches: Batches) -> Batches:
        for batch in batches:
            if not batch.num_rows:
                continue
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


def _collect_pairs(engine: Engine, pairs: Frame) -> dict[str, Any]:
    table = engine.collect(pairs.head(_MAX_PAIRS + 1))
    return {name: table.column(name).to_numpy() for name in table.column_names}


def _groups_of(engine: Engine, pairs: dict[str, Any]) -> Frame:
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


def _grouped_rows(finder: DuplicateFinder, groups: Frame) -> Frame:
    rows = content_hashes(finder, tags=True).join(groups, on=CONTENT, how="left")
    rows = rows.with_columns(nw.coalesce("near_group", CONTENT).alias("group"))
    found = rows.join(_tags_of_groups(finder, rows), on="group", how="inner")
    found = found.with_columns(nw.len().over(CONTENT).alias("copies"))
    return _named(found.select(ID, "group", "nearest", "copies", GIVEN, "codes"), finder)


def _tags_of_groups(finder: DuplicateFinder, rows: Frame) -> Frame:
    """Groups of several rows, and what is to be said of their tags: group, codes."""
    # every row begins its list with a sign, so that sizes and tags are counted in one pass
    each = rows.select("group", nw.col(GIVEN).alias("tag")).explode("tag")
    counted = each.group_by("group", "tag").agg(nw.len().alias("n"))

    def in_group(condition: nw.Expr) -> nw.Expr:
        return nw.when(condition).then(nw.col("n")).otherwise(0).sum().over("group").cast(nw.Int64)

    is_tag, count, labelled = nw.col("tag") >= 0, nw.col("n"), nw.col("labelled")
    counted = counted.with_columns(
        in_group(nw.col("tag") < 0).alias("size"), in_group(nw.col("tag") == WITH_TAGS).alias("labelled")
    ).filter(nw.col("size") > 1)
    differs = nw.when(is_tag & (count < labelled)).then(_DIFFERS).otherwise(0)
    is_of_most = nw.when(count * 2 > labelled).then(_IS_OF_MOST).otherwise(0)
    counted = counted.with_columns(differs.alias("differs"), is_of_most.alias("is_of_most"))
    if not finder.keep_all:
        counted = counted.with_columns(nw.col("differs").max().over("group").alias("any_differs"))
        counted = counted.filter(nw.col("any_differs") > 0)
    code = nw.when(is_tag).then(nw.col("tag") * 4 + nw.col("differs") + nw.col("is_of_most"))
    return finder.ingest.engine.lists(counted.select("group", code.alias("codes")), ["group"], "codes")


def _named(frame: Frame, finder: DuplicateFinder) -> Frame:
    """Class indices spelled out, and what is known of a row said."""
    layout = finder.ingest.layout
    named = ("given_tags", "differing_tags", "majority_tags")
    added = pa.schema(
        [
            ("group_id", pa.string()),
            ("similarity", pa.float64()),
            ("kind", pa.string()),
            *[(name, TAG_LIST) for name in named],
        ]
    )

    def run(batches: Batches) -> Batches:
        classes = pa.array(layout.classes, pa.string())
        for batch in batches:
            groups = batch.column("group").to_pylist()
            exact = batch.column("copies").to_numpy() > 1
            nearest = batch.column("nearest").to_numpy(zero_copy_only=False)
            places, codes = _entries(batch.column("codes"))
            columns = [
                batch.column(ID),
                pa.array([f"{group % (1 << 64):016x}" for group in groups], pa.string()),
                pa.array(np.where(exact, 1.0, nearest)),
                pa.array(np.where(exact, "exact", "near").astype(object), pa.string()),
                _given_tags(batch.column(GIVEN), classes),
            ]
            for flag in (_DIFFERS, _IS_OF_MOST):
                chosen = (codes & flag) > 0
                columns.append(tag_lists((places[chosen], codes[chosen] // 4), batch.num_rows, classes))
            yield pa.RecordBatch.from_arrays(columns, names=[ID, *added.names])

    return finder.ingest.engine.map_batches(frame, run, keep=(ID,), add=added).rename(
        {ID: in_frame(layout.id)}
    )


def _entries(lists: Any) -> tuple[Any, Any]:
    """Row and value of every entry."""
    return rows_of_lists(lists), lists.flatten().to_numpy().astype(np.int64)


def _given_tags(given: Any, classes: Any) -> Any:
    """Given tags of each row; null where it has no list of them."""
    rows, values = _entries(given)
    tags = values >= 0
    spelled = tag_lists((rows[tags], values[tags]), len(given), classes)
    unlabelled = values[~tags] != WITH_TAGS
    if not unlabelled.any():
        return spelled
    return spelled.take(pa.array(np.arange(len(given)), mask=unlabelled))
