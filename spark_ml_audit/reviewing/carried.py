"""A review carried over: what the reviewed sample of an audit says of one that continues it.

The audit of a corrected copy flags the cells of the original that are still open. Those of them that nobody
judged are, on average, as often right as the judged ones were: the sample was drawn at random. The judged
ones are no measure of it any more, since those that were right were corrected and are flagged no longer. So
precision stays as it was measured, and of the errors that were estimated those that people have put right are
taken off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import narwhals as nw
import pyarrow as pa
import pyarrow.compute as pc

from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.arrow.lists import lists_contain
from spark_ml_audit.engines.base import Batches, count_rows, rows_of
from spark_ml_audit.errors import ConfigError
from spark_ml_audit.lake.lineage import elsewhere
from spark_ml_audit.lake.runs import find_run
from spark_ml_audit.lake.schemas import EXAMPLES, RUNS, SAMPLE
from spark_ml_audit.outcomes.review import Estimate
from spark_ml_audit.reviewing.decisions import STANDING
from spark_ml_audit.reviewing.tables import with_plain_id

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Frame
    from spark_ml_audit.lake.output import OutputTables
    from spark_ml_audit.outcomes.runs import FinishedRun

_WAS, _IS = "was_given", "is_given"
_BEFORE, _NOW = "tags_before", "tags_now"


@dataclass(frozen=True)
class ReviewedSample:
    """A random sample, and the audit that it is to tell about.

    Attributes:
        tables: The output that holds it.
        sample_id: Its id.
        drawn_from: The audit that it was drawn from.
        run: The audit to tell about: the same, or one that continues it.
    """

    tables: OutputTables
    sample_id: str
    drawn_from: FinishedRun
    run: FinishedRun

    @property
    def is_carried(self) -> bool:
        """Whether it was drawn from another audit than the one it tells about."""
        return self.drawn_from.run_id != self.run.run_id


def find_sample(tables: OutputTables, sample_id: str | None, run_id: str | None) -> ReviewedSample:
    """The random sample to review: of the run, else of the nearest one that it continues.

    Args:
        tables: The output.
        sample_id: Of the sample; None for the newest.
        run_id: Of the run; None for the newest run that has one or continues a run that has one.

    Raises:
        ConfigError: There is none.
    """
    row = _newest_sample(tables, sample_id, run_id)
    if row is not None:
        drawn_from = about = find_run(tables, row[1], "review.run")
        if run_id is None and sample_id is None:
            newest = find_run(tables, None, "review.run")
            about = newest if row[1] in {origin.run_id for origin in newest.continues} else about
        return ReviewedSample(tables, row[0], drawn_from, about)
    run = find_run(tables, run_id, "review.run") if tables.exists(RUNS) else None
    found = None if run is None else _continued_sample(tables, sample_id, run)
    if found is not None:
        return found
    wanted = f"random sample '{sample_id}'" if sample_id is not None else "random sample"
    raise ConfigError(
        f"'{tables.location(SAMPLE)}' holds no {wanted}.",
        key="review.sample",
        fix="Draw one with `spark-ml-audit sample --how random` and have it judged; a worst "
        "sample says nothing of the rest of the table.",
    )


def _continued_sample(tables: OutputTables, sample_id: str | None, run: FinishedRun) -> ReviewedSample | None:
    """The sample of the nearest audit that a run continues and that has one."""
    for origin in run.continues:
        # the output may have been moved since
        for held in filter(None, (tables, elsewhere(tables, origin))):
            row = _newest_sample(held, sample_id, origin.run_id)
            if row is not None:
                return ReviewedSample(held, row[0], find_run(held, origin.run_id, "review.run"), run)
    return None


def _newest_sample(tables: OutputTables, sample_id: str | None, run_id: str | None) -> tuple[str, str] | None:
    table = tables.existing(SAMPLE)
    if table is None:
        return None
    own = table.filter(nw.col("how") == "random")
    if sample_id is not None:
        own = own.filter(nw.col("sample_id") == sample_id)
    if run_id is not None:
        own = own.filter(nw.col("run_id") == run_id)
    # run ids start with their time
    newest = own.select("run_id", "sample_id").sort("run_id", "sample_id", descending=True)
    row = next(iter(rows_of(tables.engine, newest.head(1))), None)
    return None if row is None else (row["sample_id"], row["run_id"])


@dataclass(frozen=True)
class SinceReview:
    """What became of a table since the audit whose sample was judged.

    Attributes:
        mended: Direction -> cells that were wrong by a standing verdict and are not any more.
        broken: Direction -> cells that were right by a standing verdict and are wrong now.
        num_rows_otherwise: Rows whose tags changed without any verdict.
    """

    mended: dict[str, int]
    broken: dict[str, int]
    num_rows_otherwise: int

    def warnings(self, run_id: str) -> list[str]:
        """Sentences on what the estimates do not account for."""
        if not self.num_rows_otherwise:
            return []
        return [
            f"The tags of {self.num_rows_otherwise:,} rows changed since run {run_id} without a verdict: "
            "whether rightly nobody has judged, and the number of errors does not account for it."
        ]


def changes_since(tables: OutputTables, sample: ReviewedSample, standing: Frame) -> SinceReview:
    """Count what became of the judged cells, and the rows that changed without a verdict.

    Args:
        tables: The output of the audit to tell about.
        sample: The sample.
        standing: The verdict of every decided cell.
    """
    engine = tables.engine
    before = _tags(sample.tables, sample.drawn_from, _BEFORE)
    now = _tags(tables, sample.run, _NOW)
    sure = standing.filter((nw.col("state") == STANDING) & (nw.col("verdict") != "unsure"))
    cells = sure.select(ID, "tag", "verdict").join(before, on=ID, how="inner").join(now, on=ID, how="left")
    added = pa.schema([(_WAS, pa.bool_()), (_IS, pa.bool_())])
    judged = engine.map_batches(cells, _look_up, keep=("verdict",), add=added)
    rows = rows_of(engine, judged.group_by("verdict", _WAS, _IS).agg(nw.len().alias("count")))
    mended, broken = {"missing": 0, "extraneous": 0}, {"missing": 0, "extraneous": 0}
    for row in rows:
        is_there = row["verdict"] == "present"
        was_wrong = row[_WAS] != is_there
        # of a row that is gone nothing is wrong any more
        is_wrong = row[_IS] is not None and row[_IS] != is_there
        if was_wrong != is_wrong:
            counted = mended if was_wrong else broken
            counted["missing" if is_there else "extraneous"] += row["count"]
    differ = before.join(now, on=ID, how="inner").filter(
        nw.col(_BEFORE).list.sort() != nw.col(_NOW).list.sort()
    )
    otherwise = differ.join(sure.select(ID).unique(), on=ID, how="anti")
    return SinceReview(mended, broken, count_rows(engine, otherwise))


def _tags(tables: OutputTables, run: FinishedRun, name: str) -> Frame:
    examples = with_plain_id(tables.read(EXAMPLES, run.run_id), run.id_name)
    return examples.select(ID, nw.col("given_tags").alias(name))


def _look_up(batches: Batches) -> Batches:
    for batch in batches:
        was, is_now = (lists_contain(batch.column(name), batch.column("tag")) for name in (_BEFORE, _NOW))
        found = [was, pc.if_else(pc.is_valid(batch.column(_NOW)), is_now, None)]
        yield pa.RecordBatch.from_arrays([batch.column("verdict"), *found], names=["verdict", _WAS, _IS])


def carried_estimates(
    estimates: tuple[Estimate, ...], since: SinceReview, run: FinishedRun
) -> tuple[Estimate, ...]:
    """What the estimates of an audit say of one that continues it; of its recall they say nothing.

    Args:
        estimates: Of the audit whose sample was judged.
        since: What became of the table since.
        run: The audit that continues it.
    """
    own = {
        "missing": float(sum(row.joint_01 for row in run.classes)),
        "extraneous": float(sum(row.joint_10 for row in run.classes)),
    }
    found = [item for item in estimates if item.quantity == "precision"]
    for item in estimates:
        if item.quantity != "num_errors":
            continue
        scopes = (item.direction,) if item.direction in own else tuple(own)
        fewer = sum(since.mended[scope] - since.broken[scope] for scope in scopes)
        estimate, low, high = (
            None if value is None else max(value - fewer, 0.0)
            for value in (item.estimate, item.low, item.high)
        )
        believed = sum(own[scope] for scope in scopes)
        found.append(Estimate(item.quantity, item.direction, estimate, low, high, believed))
    return tuple(found)
