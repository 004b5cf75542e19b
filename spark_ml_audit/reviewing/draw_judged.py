"""Samples that follow from what people said: cells to certify a bulk acceptance by, and disputed ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import narwhals as nw
import pyarrow as pa

from spark_ml_audit.arrow.encode import MISSING
from spark_ml_audit.arrow.hashes import hash_values
from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.arrow.lists import lists_contain
from spark_ml_audit.engines.base import Batches, count_rows, rows_of
from spark_ml_audit.errors import ConfigError
from spark_ml_audit.kernels.certify import NUM_BINS, cells_to_certify
from spark_ml_audit.kernels.review_sampling import cell_hashes
from spark_ml_audit.lake.schemas import DECISIONS, EXAMPLES, SAMPLE_FIELDS, TAG_ISSUES
from spark_ml_audit.reviewing.certified import blind_samples, blind_standing, confidence_bin
from spark_ml_audit.reviewing.decisions import check_decisions, standing_decisions
from spark_ml_audit.reviewing.tables import with_plain_id
from spark_ml_audit.reviewing.votes import IS_DISPUTED, TAG, VERDICT, WHO, person_votes
from spark_ml_audit.text import show

if TYPE_CHECKING:
    from spark_ml_audit.config.review import SampleSection
    from spark_ml_audit.engines.base import Frame
    from spark_ml_audit.lake.output import OutputTables
    from spark_ml_audit.outcomes.review import StratumDrawn
    from spark_ml_audit.outcomes.runs import FinishedRun

_HASH = "hash"
_CELL = [ID, TAG]
Drawn = tuple[list[dict[str, Any]], pa.DataType]


def certify_cells(run: FinishedRun, tables: OutputTables, options: SampleSection) -> Drawn:
    """Flagged cells of one class and direction with the lowest hashes, without those judged blind already.

    Args:
        run: The audit.
        tables: The output.
        options: tag, direction, above, size and seed of the sample.

    Returns:
        Its cells as records of `SAMPLE_FIELDS`, and the type of their ids.

    Raises:
        ConfigError: There is no such class, or nothing is left to draw.
    """
    tag, direction = options.tag or "", options.direction or MISSING
    if tag not in run.tags:
        raise ConfigError(
            f"{show(tag)} is no class of run {run.run_id}.",
            key="sample.tag",
            fix="Give one of its tags, spelled as in the table classes.",
        )
    place, least = run.tags.index(tag), round((options.above or 0) * NUM_BINS)
    issues = with_plain_id(tables.read(TAG_ISSUES, run.run_id), run.id_name)
    own = issues.filter((nw.col(TAG) == tag) & (nw.col("issue") == direction) & (confidence_bin() >= least))
    cells = own.select(ID, TAG, "issue", "pred_prob")
    size = count_rows(tables.engine, cells)

    def hashed(batches: Batches) -> Batches:
        for batch in batches:
            hashes = cell_hashes(hash_values(batch.column(ID), options.seed), place + 1)[:, place]
            yield batch.append_column(_HASH, pa.array(hashes))

    kept = (ID, TAG, "issue", "pred_prob")
    left = _not_judged(run, tables, cells).select(*kept)
    ranked = tables.engine.map_batches(left, hashed, keep=kept, add=pa.schema([(_HASH, pa.int64())]))
    found = tables.engine.collect(ranked.sort(_HASH, ID).head(options.size))  # bounded by the config
    if not found.num_rows:
        raise ConfigError(
            f"nothing is left to draw: of {size:,} flagged cells ({direction}, {show(tag)}) all are judged.",
            key="sample.tag",
            fix="Choose another class, direction or sample.above; `review` says what is proved.",
        )
    about = {
        "given": direction != MISSING,
        "stratum": f"flagged {direction}, {tag}",
        "stratum_size": size,
        "num_drawn": found.num_rows,
        "inclusion_probability": found.num_rows / size,
        "least_confidence": None if options.above is None else least / NUM_BINS,
    }
    cells_drawn = [
        {**row, **about, "position": position} for position, row in enumerate(found.to_pylist(), start=1)
    ]
    return [_fields(row) for row in cells_drawn], found.schema.field(ID).type


def _not_judged(run: FinishedRun, tables: OutputTables, cells: Frame) -> Frame:
    drawn = blind_samples(tables, run)
    judged = None if drawn is None else blind_standing(tables, run, drawn)
    if drawn is None or judged is None:
        return cells
    blind = judged.join(drawn.select(*_CELL).unique(), on=_CELL, how="semi").select(*_CELL)
    return cells.join(blind, on=_CELL, how="anti")


def certify_notes(strata: tuple[StratumDrawn, ...], options: SampleSection) -> tuple[str, ...]:
    """What a sample to certify by can prove at best."""
    if options.how != "certify":
        return ()
    size = sum(stratum.size for stratum in strata)
    least = cells_to_certify(size)
    return (
        f"All {size:,} cells could be accepted at a precision of 90% after {least:,} blind decisions, if "
        "every one finds the flag right; more, if some do not. A cell that is left out counts as wrong, and "
        "so does whatever is unanswered of a sample that was drawn before with another sample.above.",
    )


def disputed_cells(run: FinishedRun, tables: OutputTables, most: int) -> Drawn:
    """Cells of audited rows on which people differ, in the order of their ids and classes.

    Raises:
        ConfigError: There are no decisions, or nobody differs.
    """
    engine = tables.engine
    examples = with_plain_id(tables.read(EXAMPLES, run.run_id), run.id_name)
    id_type = engine.schema(examples.select(ID)).field(ID).type
    checked = _checked(tables, run, id_type)
    found: list[dict[str, Any]] = []
    if checked is not None:
        standing = standing_decisions(engine, checked, run.tags).filter(
            nw.col(IS_DISPUTED) & ~nw.col("class_index").is_null()
        )
        cells = standing.select(ID, TAG, "class_index").join(
            examples.select(ID, "given_tags"), on=ID, how="inner"
        )
        flagged = with_plain_id(tables.read(TAG_ISSUES, run.run_id), run.id_name)
        told = _with_given(tables, cells).join(
            flagged.select(ID, TAG, "issue", "pred_prob"), on=_CELL, how="left"
        )
        found = rows_of(engine, told.sort(ID, "class_index").head(most))  # bounded by the config
    if not found:
        raise ConfigError(
            f"there is no cell of run {run.run_id} on which people differ.",
            key="sample.how",
            fix="Have rows judged by two people (sample.reviewers, sample.overlap) and import both files.",
        )
    return [_fields({**row, "position": place}) for place, row in enumerate(found, start=1)], id_type


def _with_given(tables: OutputTables, cells: Frame) -> Frame:
    kept = (ID, TAG, "class_index")

    def run(batches: Batches) -> Batches:
        for batch in batches:
            has_tag = lists_contain(batch.column("given_tags"), batch.column(TAG))
            columns = [*(batch.column(name) for name in kept), has_tag]
            yield pa.RecordBatch.from_arrays(columns, names=[*kept, "given"])

    return tables.engine.map_batches(cells, run, keep=kept, add=pa.schema([("given", pa.bool_())]))


def votes_of(tables: OutputTables, run: FinishedRun, cells: pa.Table) -> list[str]:
    """Who said what of each cell, as texts.

    Args:
        tables: The output.
        run: The audit.
        cells: Columns id and tag; some.
    """
    checked = _checked(tables, run, cells.schema.field(ID).type)
    said: dict[tuple[Any, str], list[str]] = {}
    if checked is not None:
        named = tables.engine.from_arrow(cells.select(_CELL))
        votes = person_votes(checked.join(named, on=_CELL, how="semi"))
        rows = rows_of(tables.engine, votes.select(*_CELL, WHO, VERDICT))
        for row in sorted(rows, key=lambda row: (str(row[WHO]), str(row[VERDICT]))):
            words = f"{row[WHO] or 'somebody'}: {row[VERDICT] or 'contradictory'}"
            said.setdefault((row[ID], row[TAG]), []).append(words)
    pairs = zip(cells.column(ID).to_pylist(), cells.column(TAG).to_pylist(), strict=True)
    return ["; ".join(said.get(pair, [])) for pair in pairs]


def _checked(tables: OutputTables, run: FinishedRun, id_type: pa.DataType) -> Frame | None:
    known = tables.existing(DECISIONS)
    if known is None:
        return None
    return check_decisions(tables.engine, known, run.id_name, id_type, "output.path")


def _fields(row: dict[str, Any]) -> dict[str, Any]:
    return {ID: row[ID], **{name: row.get(name) for name, _ in SAMPLE_FIELDS}}
