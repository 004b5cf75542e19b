"""`sample`: cells to review, a first look, a list, or drawn at random, as a table and for a spreadsheet."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np
import pyarrow as pa

from spark_ml_audit.arrow.encode import EXTRANEOUS, MISSING
from spark_ml_audit.arrow.hashes import hash_values
from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.config.base import digest
from spark_ml_audit.config.review import MAX_SAMPLE
from spark_ml_audit.engines.base import count_rows, from_records, is_empty, rows_of
from spark_ml_audit.engines.choose import choose_engine
from spark_ml_audit.engines.columns import column
from spark_ml_audit.errors import ConfigError
from spark_ml_audit.frames.cell_lists import class_usefulness, first_cells
from spark_ml_audit.frames.ingest import find_repeated_ids
from spark_ml_audit.frames.issues import RANK, tag_issues_frame
from spark_ml_audit.kernels.review_estimates import cells_for_width, widest_interval
from spark_ml_audit.kernels.review_sampling import STRATA, allocate, cell_hashes
from spark_ml_audit.lake.output import OutputTables
from spark_ml_audit.lake.runs import check_row_names, find_run
from spark_ml_audit.lake.schemas import DECISIONS, EXAMPLES, ISSUES, SAMPLE, SAMPLE_FIELDS, TAG_ISSUES
from spark_ml_audit.outcomes.review import SampleOutcome, StratumDrawn
from spark_ml_audit.reviewing.audited import ingest_of, source_of
from spark_ml_audit.reviewing.draw import draw_cells, flagged_marks
from spark_ml_audit.reviewing.draw_judged import certify_cells, certify_notes, disputed_cells
from spark_ml_audit.reviewing.learned import order_now
from spark_ml_audit.reviewing.measured import measured_precision
from spark_ml_audit.reviewing.sample_files import write_files
from spark_ml_audit.reviewing.tables import frame_type, with_own_id, with_plain_id
from spark_ml_audit.reviewing.unlabelled import AT_RANDOM, NEXT, stratum_of

if TYPE_CHECKING:
    from spark_ml_audit.config import SampleConfig
    from spark_ml_audit.config.review import SampleSection
    from spark_ml_audit.engines.base import Frame, Session
    from spark_ml_audit.outcomes.runs import FinishedRun
    from spark_ml_audit.progress import Progress


LOOK_LIST, LOOK_CELLS = 100, 15
"""Of the first so many cells of either list, so many are drawn for a first look."""

_BY_DECISIONS = ("first-look", "additions", "removals", "worst", "certify", "disputed", NEXT)
_LOOKS = {MISSING: f"first {LOOK_LIST} to add", EXTRANEOUS: f"first {LOOK_LIST} to remove"}


def run_sample(config: SampleConfig, progress: Progress, spark: Session | None = None) -> SampleOutcome:
    """Draw cells to review from a finished audit and append them to the table `review_sample`.

    Args:
        config: The effective config.
        progress: Shows and times the stages.
        spark: Session to use; the active or a new local one by default.

    Raises:
        ConfigError: There is no such run.
        InputError: A random sample needs the audited source, which cannot be read any more.
    """
    with progress.stage("session"):
        tables = OutputTables(choose_engine(config.engine, spark), config.output)
    with progress.stage("run"):
        run = find_run(tables, config.sample.run, "sample.run")
        check_row_names(tables, run, "sample.run")
    sample_id = f"{run.run_id}-{config.sample.how}-{digest(_options(config, tables))[:8]}"
    done, notes = _is_there(tables, sample_id), list[str]()
    if not done:
        with progress.stage("draw"):
            _append(run, tables, config, sample_id, notes)
    written = tables.read(SAMPLE).filter(nw.col("sample_id") == sample_id)
    with progress.stage("count"):
        num_cells, num_rows, strata = _counts(tables, written, run.id_name)
    files: dict[str, str] = {}
    if config.sample.csv is not None:
        with progress.stage("csv"):
            files = write_files(run, tables, written, config)
    drawn = _drawn(strata, run, config.sample)
    return SampleOutcome(
        sample_id=sample_id,
        run_id=run.run_id,
        how=config.sample.how,
        num_cells=num_cells,
        num_rows=num_rows,
        strata=drawn,
        notes=(*_widths(drawn, config.sample), *certify_notes(drawn, config.sample), *notes),
        next_command=_decide_command(config, files) if num_cells else None,
        tables=tables.locations(SAMPLE),
        csv=files.get(""),
        format=config.sample.format,
        files={name: file for name, file in files.items() if name},
        stages=progress.stages,
        already_finished=done,
    )


def _append(
    run: FinishedRun, tables: OutputTables, config: SampleConfig, sample_id: str, notes: list[str]
) -> None:
    """Draw the cells and append them."""
    if config.sample.how == NEXT:
        # what compares rows takes a while to import
        from spark_ml_audit.reviewing.next_rows import next_cells

        cells = next_cells(run, tables, config, notes)
    else:
        cells = _DRAWS[config.sample.how](run, tables, config)
    stamped = cells.select(
        nw.lit(run.run_id).alias("run_id"),
        nw.lit(sample_id).alias("sample_id"),
        nw.lit(config.sample.how).alias("how"),
        nw.all(),
        nw.lit(datetime.now(timezone.utc)).alias("drawn_at"),
    )
    tables.append(SAMPLE, with_own_id(stamped, run.id_name), sample_id)


def _drawn(
    strata: list[dict[str, Any]], run: FinishedRun, options: SampleSection
) -> tuple[StratumDrawn, ...]:
    """The strata in their order; of rows to label next how many rows were drawn, else how many cells."""
    of_next = [*(stratum_of(tag) for tag in run.tags), AT_RANDOM]
    named = [*(stratum.name for stratum in STRATA), *_LOOKS.values(), *of_next]
    order = {name: k for k, name in enumerate(named)}
    counted = "rows" if options.how == NEXT else "count"
    return tuple(
        StratumDrawn(row["stratum"], row["stratum_size"], row[counted])
        for row in sorted(strata, key=lambda row: order.get(row["stratum"], len(order)))
    )


def _options(config: SampleConfig, tables: OutputTables) -> dict[str, object]:
    """What decides which cells are drawn: the lists follow what people have decided, and leave that out."""
    options = config.sample.digested
    if config.sample.how in _BY_DECISIONS:
        decided = tables.existing(DECISIONS)
        number = 0 if decided is None else count_rows(tables.engine, decided)
        if number or config.sample.how != "worst":  # ids of older samples stay
            options["decisions"] = number
    return options


def _decide_command(config: SampleConfig, files: dict[str, str]) -> str | None:
    """What to type once a file's verdicts are filled in."""
    run = {} if config.sample.run is None else {"decide.run": config.sample.run}
    kind = {"decide.kind": "adjudicated"} if config.sample.how == "disputed" else {}
    if config.sample.format != "csv":
        kind["decide.format"] = config.sample.format
    for name, file in files.items():
        who = {"decide.who": name} if name else {}
        settings = {"decide.file": file, **who, **run, **kind, **config.engine.settings}
        return config.output.command("decide", settings)
    return None


def _widths(strata: tuple[StratumDrawn, ...], options: SampleSection) -> tuple[str, ...]:
    """How wide the interval of the precision of either direction will be, and what would halve it."""
    known = {stratum.name: stratum.direction for stratum in STRATA if stratum.flagged}
    known |= {name: direction for direction, name in _LOOKS.items()}
    said = []
    for stratum in strata:
        direction, number = known.get(stratum.name), stratum.num_drawn
        if direction is None or number >= stratum.size:
            continue  # all are judged: nothing is left to chance
        width = widest_interval(number)
        halved = cells_for_width(width / 2)
        if halved < stratum.size:
            better = f"{halved:,} would halve it{_larger(options, number, halved)}"
        else:
            better = f"all {stratum.size:,} would leave nothing to chance"
        said.append(
            f"The precision of {direction} tags ({stratum.name}) will have a 95% interval of up to "
            f"{100 * width:.0f} points from {number:,} cells; {better}."
        )
    return tuple(said)


def _larger(options: SampleSection, number: int, wanted: int) -> str:
    """The setting of a random sample with which so many cells of a stratum are drawn, if one allows it."""
    if options.how != "random":
        return ""
    if options.per_stratum is not None:
        return f" (sample.per_stratum={wanted})"
    size = -(-options.size * wanted // number)
    return f" (sample.size={size} or so)" if size <= MAX_SAMPLE else ""


def _is_there(tables: OutputTables, sample_id: str) -> bool:
    table = tables.existing(SAMPLE)
    if table is None:
        return False
    return not is_empty(tables.engine, table.filter(nw.col("sample_id") == sample_id))


def _counts(tables: OutputTables, written: Frame, id_name: str) -> tuple[int, int, list[dict[str, Any]]]:
    """Cells and rows of a sample, and the strata of a random one."""
    whole = written.select(nw.len().alias("cells"), column(id_name).n_unique().alias("rows"))
    (counted,) = rows_of(tables.engine, whole)
    drawn = written.filter(~nw.col("stratum").is_null())
    counts = (nw.len().alias("count"), column(id_name).n_unique().alias("rows"))
    by_stratum = drawn.group_by("stratum", "stratum_size").agg(*counts)
    # (no row is none of the ids)
    return counted["cells"], counted["rows"] if counted["cells"] else 0, rows_of(tables.engine, by_stratum)


def _worst(run: FinishedRun, tables: OutputTables, config: SampleConfig) -> Frame:
    """The flagged cells of the rows with the lowest quality, surest first within a row.

    Cells that somebody has judged are left out, and rows all of whose cells are judged.

    Raises:
        ConfigError: The run was made by a version that ranked rows elsewhere.
    """
    ranked = tables.existing(ISSUES)
    own = None if ranked is None else ranked.filter(nw.col("run_id") == run.run_id)
    if own is None or (run.ref.num_label_issues and is_empty(tables.engine, own)):
        raise ConfigError(
            f"version {run.ref.package_version}, which made run {run.run_id}, wrote no table '{ISSUES}'.",
            key="sample.run",
            fix="Audit the source again, and sample from that run.",
        )
    issues, size = with_plain_id(own, run.id_name), config.sample.size
    measured = measured_precision(tables, run.id_name, run.tags)
    if measured is None:
        cells = tag_issues_frame(tables.engine, issues.filter(nw.col(RANK) <= size), ID, "given_tags")
    else:
        flagged = with_plain_id(tables.read(TAG_ISSUES, run.run_id), run.id_name).select(ID, "tag")
        left = flagged.join(measured.decided, on=[ID, "tag"], how="anti").select(ID).unique()
        chosen = issues.join(left, on=ID, how="semi").sort(RANK).head(size)
        listed = tag_issues_frame(tables.engine, chosen, ID, "given_tags")
        cells = listed.join(measured.decided, on=[ID, "tag"], how="anti")
    known = {name: nw.col(name) for name in ("tag", "issue", "pred_prob")}
    known |= {"position": nw.col(RANK), "given": nw.col("issue") == EXTRANEOUS}
    values = []
    for name, kind in SAMPLE_FIELDS:
        wanted = frame_type(kind)
        value = known[name].cast(wanted) if name in known else nw.lit(None, dtype=wanted)
        values.append(value.alias(name))
    position = nw.col("rank_in_row").cast(nw.Int32).alias("position_in_row")
    return cells.select(nw.col(ID), *values, nw.col("given_tags"), position)


def _listed(run: FinishedRun, tables: OutputTables, config: SampleConfig) -> Frame:
    """The first cells of one list."""
    direction = MISSING if config.sample.how == "additions" else EXTRANEOUS
    found = _first(run, tables, config.sample.size)
    rows = [row for row in found.to_pylist() if row["issue"] == direction]  # bounded by the config
    cells = [_listed_cell(place, row) for place, row in enumerate(rows, start=1)]
    return _with_given_tags(run, tables, cells, found.schema.field(ID).type)


def _first_look(run: FinishedRun, tables: OutputTables, config: SampleConfig) -> Frame:
    """Some cells of either list, drawn at random from its first hundred.

    The first ones themselves would show a list at its best; drawn at random they say how good the first
    hundred are.
    """
    found = _first(run, tables, LOOK_LIST)
    # the class is part of the hash: two cells of one row are drawn apart
    rows = cell_hashes(hash_values(found.column(ID).combine_chunks(), config.sample.seed), len(run.tags))
    places = np.arange(found.num_rows), found.column("class_index").to_numpy()
    hashes = rows[places] if found.num_rows else np.zeros(0, dtype=np.int64)
    cells = [{**row, "hash": int(value)} for row, value in zip(found.to_pylist(), hashes, strict=True)]
    drawn = []
    for direction, stratum in _LOOKS.items():
        own = sorted((row for row in cells if row["issue"] == direction), key=lambda row: row["hash"])
        number = min(LOOK_CELLS, len(own))
        about = {"stratum": stratum, "stratum_size": len(own), "num_drawn": number}
        drawn += [{**row, **about, "inclusion_probability": number / len(own)} for row in own[:number]]
    # whoever judges them learns nothing from their order
    drawn.sort(key=lambda row: row["hash"])
    chosen = [_listed_cell(place, row) for place, row in enumerate(drawn, start=1)]
    return _with_given_tags(run, tables, chosen, found.schema.field(ID).type)


def _first(run: FinishedRun, tables: OutputTables, limit: int) -> pa.Table:
    """The first cells of both lists that nobody has judged."""
    measured = measured_precision(tables, run.id_name, run.tags)
    known = (None, None) if measured is None else (measured.judged, measured.right)
    decided = None if measured is None else measured.decided
    flagged = tables.read(TAG_ISSUES, run.run_id)
    order, learned = class_usefulness(run.classes, *known), order_now(tables, run).order
    about = (flagged, run.id_name, run.classes, order, limit)
    return first_cells(tables.engine, *about, without=decided, learned=learned)


def _listed_cell(position: int, row: Mapping[str, Any]) -> dict[str, Any]:
    known = {name: row.get(name) for name, _ in SAMPLE_FIELDS}
    return {ID: row[ID], **known, "position": position, "given": row["issue"] == EXTRANEOUS}


def _with_given_tags(
    run: FinishedRun, tables: OutputTables, cells: list[dict[str, Any]], id_type: Any
) -> Frame:
    """Cells as a frame, beside the tags that their rows were given."""
    frame = from_records(tables.engine, cells, pa.schema([(ID, id_type), *SAMPLE_FIELDS]))
    examples = with_plain_id(tables.read(EXAMPLES, run.run_id), run.id_name)
    with_tags = examples.select(ID, "given_tags").join(frame, on=ID, how="inner")
    position = nw.lit(1, dtype=nw.Int32).alias("position_in_row")
    return with_tags.select(ID, *[name for name, _ in SAMPLE_FIELDS], "given_tags", position)


def _random(run: FinishedRun, tables: OutputTables, config: SampleConfig) -> Frame:
    """A stratified random sample of all cells of the audited rows."""
    options = config.sample
    ingest = find_repeated_ids(ingest_of(tables, run, source_of(run, config.source)))
    engine, issues = tables.engine, tables.read(TAG_ISSUES, run.run_id)
    flagged = flagged_marks(engine, issues, run.id_name, run.tags)
    most = options.per_stratum or options.size
    found = draw_cells(ingest, flagged, seed=options.seed, most=most).to_pylist()  # bounded by the config
    sizes = np.zeros(len(STRATA), dtype=np.int64)
    for row in found:
        sizes[row["stratum"]] = row["size"]
    numbers = allocate(sizes, options.size, options.per_stratum)
    taken = np.zeros(len(STRATA), dtype=np.int64)
    drawn = []
    for row in found:
        if taken[row["stratum"]] < numbers[row["stratum"]]:
            taken[row["stratum"]] += 1
            drawn.append(row)
    # in the order of the hashes: whoever judges them learns nothing from their order
    drawn.sort(key=lambda row: row["hash"])
    cells = [_cell(position, row, run, numbers) for position, row in enumerate(drawn, start=1)]
    return _with_given_tags(run, tables, cells, ingest.id_type)


def _cell(position: int, row: Any, run: FinishedRun, numbers: Any) -> dict[str, Any]:
    stratum, number = STRATA[row["stratum"]], int(numbers[row["stratum"]])
    return {
        ID: row[ID],
        "position": position,
        "tag": run.tags[row["class_index"]],
        "given": stratum.given,
        "issue": stratum.direction if stratum.flagged else None,
        "pred_prob": row["pred_prob"],
        "stratum": stratum.name,
        "stratum_size": row["size"],
        "num_drawn": number,
        "inclusion_probability": number / row["size"],
    }


def _certify(run: FinishedRun, tables: OutputTables, config: SampleConfig) -> Frame:
    """Flagged cells of one class and direction, drawn at random."""
    return _with_given_tags(run, tables, *certify_cells(run, tables, config.sample))


def _disputed(run: FinishedRun, tables: OutputTables, config: SampleConfig) -> Frame:
    """Cells on which people differ, for somebody to settle."""
    return _with_given_tags(run, tables, *disputed_cells(run, tables, config.sample.size))


_DRAWS = {
    "first-look": _first_look,
    "additions": _listed,
    "removals": _listed,
    "worst": _worst,
    "random": _random,
    "certify": _certify,
    "disputed": _disputed,
}
