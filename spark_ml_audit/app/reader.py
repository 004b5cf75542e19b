"""What the page reads and writes: the protocol, and the tables of a path or Volume behind it."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import narwhals as nw
import pyarrow as pa

from spark_ml_audit.app.decided import DecisionRecord
from spark_ml_audit.app.index import CODED, LISTED, MOST_ROWS, coded
from spark_ml_audit.app.records import records_of
from spark_ml_audit.arrow.decode import decode_batches
from spark_ml_audit.arrow.layout import ID, InputLayout
from spark_ml_audit.arrow.types import is_string
from spark_ml_audit.engines.base import rows_of
from spark_ml_audit.engines.columns import column, field, in_frame, names_of
from spark_ml_audit.errors import ConfigError
from spark_ml_audit.frames.issues import RANK
from spark_ml_audit.lake.runs import find_run
from spark_ml_audit.lake.schemas import (
    CORRECTED,
    CORRECTION_COUNTS,
    CORRECTION_RUNS,
    DECISIONS,
    DUPLICATES,
    EXAMPLES,
    ISSUES,
    SAMPLE,
)
from spark_ml_audit.reviewing.audited import ingest_of, open_audited, source_of
from spark_ml_audit.reviewing.decision_table import Decision, append_decisions, undo_decision
from spark_ml_audit.reviewing.tables import with_plain_id

if TYPE_CHECKING:
    from spark_ml_audit.config import AuditSource
    from spark_ml_audit.config.serve import ServeConfig
    from spark_ml_audit.engines.base import Batches, Engine, Frame
    from spark_ml_audit.frames.ingest import Ingest
    from spark_ml_audit.lake.output import OutputTables
    from spark_ml_audit.lake.source import OpenSource
    from spark_ml_audit.outcomes.review import CertifiedFlags
    from spark_ml_audit.outcomes.runs import FinishedRun

MOST_TEXT = 2_000_000
"""Letters of one value that a page gets."""

_MARKS = ("is_ambiguous", "ambiguity_score", "ambiguous_tags", "is_outlier", "outlier_score")
_MEMBERS = ("group_id", "differing_tags", "similarity", "given_tags")
_MOST_SHOWN = 4
_MOST_CORRECTIONS = 20


@dataclass(frozen=True)
class RowContent:
    """A row of the source as audited.

    Attributes:
        given: Classes of its given tags.
        pred_probs: One probability per class; None where they cannot be read any more.
        values: Shown column -> its text, None for null.
    """

    given: tuple[int, ...]
    pred_probs: Any
    values: Mapping[str, str | None]


class AuditReader(Protocol):
    """The tables of one finished audit, wherever they are. Methods may be called by several threads."""

    @property
    def run(self) -> FinishedRun:
        """The audit, with its class table."""

    @property
    def id_type(self) -> Any:
        """Arrow type of its ids."""

    @property
    def shown(self) -> tuple[str, ...]:
        """Columns of the source that are shown."""

    def issues(self) -> Any:
        """The rows with an issue as an Arrow table of id and `index.CODED`, in any order."""

    def marks(self) -> Any:
        """Rows that are ambiguous or outliers: id and what `AuditIndex.with_marks` wants; None without."""

    def groups(self) -> Any:
        """Near-duplicates: id, group_id, differing_tags, similarity, given_tags; None without."""

    def rows(self, ids: Sequence[Any]) -> dict[Any, RowContent]:
        """Some rows by id, those that are there."""

    def samples(self) -> Any:
        """Drawn cells of this run: id, sample_id, how, position, tag; None without."""

    def decisions_version(self) -> str | None:
        """What changes when decisions are added."""

    def decisions(self) -> list[DecisionRecord]:
        """All records of decisions."""

    def append(self, decisions: Sequence[Decision]) -> None:
        """Add decisions in one transaction; those that are there already are not added again."""

    def undo(self, name: str, who: str) -> None:
        """Take a decision or a bulk acceptance back by a further record."""

    def draw(self, drawing: Mapping[str, Any]) -> str:
        """Draw cells to judge by keys of `SampleSection`; the sample_id."""

    def certified(self, bound: float) -> Sequence[CertifiedFlags]:
        """How far classes and directions with blind random decisions may be accepted in bulk."""

    def accept(
        self, bulk_id: str, tag: str, direction: str, bound: float, who: str
    ) -> Sequence[CertifiedFlags]:
        """Accept in bulk what is proved of a class and direction; what was accepted."""

    def corrected(self) -> Any:
        """The corrected copy as an Arrow table; None where there is none."""

    def corrections(self) -> list[dict[str, Any]]:
        """Corrections of this output, the newest first."""

    def newest(self) -> AuditReader:
        """A reader of the newest run of the output, as it is now."""


class LakeReader:
    """Tables of an output that the engine reaches: paths and Volumes in this process.

    Args:
        tables: The output.
        config: Of the command.
    """

    def __init__(self, tables: OutputTables, config: ServeConfig) -> None:
        self.tables = tables
        self.config = config
        self._lock = threading.Lock()
        self._opened: OpenSource | None = None
        self._ingest: Ingest | None = None
        self.run = find_run(tables, config.serve.run, "serve.run")
        self.id_type = tables.schema(EXAMPLES).field(self.run.id_name).type
        self._shown: tuple[str, ...] | None = None

    @property
    def engine(self) -> Engine:
        """What reads the tables."""
        return self.tables.engine

    # ---- the run -----------------------------------------------------------------------------------

    def issues(self) -> Any:
        """The rows with an issue as an Arrow table of id and `index.CODED`.

        Raises:
            ConfigError: The run was made by a version that listed rows elsewhere.
        """
        if not self.run.ref.num_label_issues:
            return pa.schema([(ID, self.id_type), *CODED]).empty_table()
        if not self.tables.exists(ISSUES) or "flagged_cells" not in self.tables.schema(ISSUES).names:
            raise ConfigError(
                f"version {self.run.ref.package_version}, which made run {self.run.run_id}, listed no rows.",
                key="serve.run",
                fix="Audit the source again, and serve that run.",
            )
        own = with_plain_id(self.tables.read(ISSUES, self.run.run_id), self.run.id_name)
        worst = own.filter(nw.col(RANK) <= MOST_ROWS).select(ID, *LISTED)
        names = pa.array(self.run.tags, pa.string())

        def code(batches: Batches) -> Batches:
            for batch in batches:
                yield coded(batch, names)

        # where the rows are: their texts would be ten times what is kept of them
        return self.engine.collect(self.engine.map_batches(worst, code, keep=(ID,), add=CODED))

    def marks(self) -> Any:
        """Ambiguous rows and outliers; None where none was looked for."""
        examples = with_plain_id(self.tables.read(EXAMPLES, self.run.run_id), self.run.id_name)
        if not set(_MARKS) <= set(names_of(examples)):
            return None
        marked = examples.filter(nw.col("is_ambiguous") | nw.col("is_outlier"))
        return self.engine.collect(marked.select(ID, *_MARKS))

    def groups(self) -> Any:
        """Near-duplicates; None where none was looked for."""
        if not self.tables.exists(DUPLICATES):
            return None
        members = with_plain_id(self.tables.read(DUPLICATES, self.run.run_id), self.run.id_name)
        return self.engine.collect(members.select(ID, *_MEMBERS))

    def samples(self) -> Any:
        """Drawn cells of this run; None without any."""
        found = self.tables.table(SAMPLE).existing()
        if found is None:
            return None
        own = with_plain_id(found.filter(nw.col("run_id") == self.run.run_id), self.run.id_name)
        kept = (ID, "sample_id", "how", "position", "position_in_row", "tag")
        return self.engine.collect(own.select(*kept).sort("sample_id", "position", "position_in_row"))

    # ---- the source --------------------------------------------------------------------------------

    @property
    def source(self) -> AuditSource:
        """How the audit read its source."""
        return source_of(self.run, self.config.source)

    @property
    def opened(self) -> OpenSource:
        """The source at the version that was audited; opened once."""
        with self._lock:
            if self._opened is None:
                self._opened = open_audited(self.engine, self.run, self.source)
            return self._opened

    @property
    def shown(self) -> tuple[str, ...]:
        """Columns that are shown: those asked for, else those of the report, else the first texts."""
        if self._shown is None:
            self._shown = self._choose_shown()
        return self._shown

    def _choose_shown(self) -> tuple[str, ...]:
        asked, schema = self.config.serve.show, self.opened.schema
        image = (self.config.serve.image,) if self.config.serve.image else ()
        named = (asked,) if isinstance(asked, str) else tuple(asked or self.source.shown_columns)
        for name in (*named, *image):
            field(schema, name, "serve.show" if name in named else "serve.image")
        if named:
            return tuple(dict.fromkeys((*named, *image)))
        labels = self.source.labels
        used = {self.run.id_name, *((labels,) if isinstance(labels, str) else labels)}
        texts = [item.name for item in schema if is_string(item.type) and item.name not in used]
        return (*texts[:_MOST_SHOWN], *image)

    def rows(self, ids: Sequence[Any]) -> dict[Any, RowContent]:
        """Some rows of the source as audited, with their probabilities."""
        wanted = self.engine.from_arrow(pa.table({"wanted": pa.array(list(ids), self.id_type)}))
        values = self._values(wanted)
        layout, batches = self._audited(wanted)
        found: dict[Any, RowContent] = {}
        for decoded in decode_batches(batches, layout):
            own = decoded.source.column(ID).take(pa.array(decoded.audited)).to_pylist()
            for place, row_id in enumerate(own):
                given = tuple(decoded.cols[decoded.rows == place].tolist())
                found[row_id] = RowContent(given, decoded.pred_probs[place].copy(), values.get(row_id, {}))
        return found

    def _values(self, wanted: Frame) -> dict[Any, dict[str, str | None]]:
        from spark_ml_audit.report.texts import as_texts

        opened, names = self.opened, self.shown
        id_name = in_frame(self.run.id_name)
        rows = self.engine.with_arrays(opened.frame, names)
        chosen = rows.join(wanted, left_on=id_name, right_on="wanted", how="semi").select(
            column(self.run.id_name).alias(ID),
            *[column(name).alias(f"of_{k}") for k, name in enumerate(names)],
        )
        found = self.engine.collect(chosen)
        texts = [as_texts(values.combine_chunks(), MOST_TEXT) for values in found.columns[1:]]
        return {
            row_id: dict(zip(names, (values[place] for values in texts), strict=True))
            for place, row_id in enumerate(found.column(ID).to_pylist())
        }

    def _audited(self, wanted: Frame) -> tuple[InputLayout, list[Any]]:
        with self._lock:
            if self._ingest is None:
                self._ingest = ingest_of(self.tables, self.run, self.source)
            ingest = self._ingest
        frame = ingest.task_frame(with_id=True).join(wanted, left_on=ID, right_on="wanted", how="semi")
        return ingest.layout, self.engine.collect(frame).combine_chunks().to_batches()

    # ---- decisions ---------------------------------------------------------------------------------

    def decisions_version(self) -> str | None:
        """The newest version of the table."""
        return self.tables.table(DECISIONS).newest_version()

    def decisions(self) -> list[DecisionRecord]:
        """All records of decisions."""
        found = self.tables.table(DECISIONS).existing()
        if found is None:
            return []
        return records_of(self.engine.collect(found), self.run.id_name, self.id_type)

    def append(self, decisions: Sequence[Decision]) -> None:
        """Add decisions in one transaction."""
        append_decisions(self.tables, self.run, decisions)

    def undo(self, name: str, who: str) -> None:
        """Take a decision or a bulk acceptance back."""
        undo_decision(self.tables, self.run, name, who)

    def draw(self, drawing: Mapping[str, Any]) -> str:
        """Draw cells to judge; the same ones where that was done before."""
        from spark_ml_audit.config.review import SampleConfig, SampleSection
        from spark_ml_audit.progress import Progress
        from spark_ml_audit.reviewing.sample import run_sample

        config = SampleConfig(
            sample=SampleSection.parse({"run": self.run.run_id, **drawing}, "sample"),
            output=self.config.output,
            source=self.config.source,
            engine=self.config.engine,
        )
        return run_sample(config, Progress(quiet=True)).sample_id

    def certified(self, bound: float) -> Sequence[CertifiedFlags]:
        """How far classes and directions may be accepted in bulk."""
        from spark_ml_audit.reviewing.certified import certify_flags

        return certify_flags(self.tables, self.run, bound=bound)

    def accept(
        self, bulk_id: str, tag: str, direction: str, bound: float, who: str
    ) -> Sequence[CertifiedFlags]:
        """Accept in bulk what is proved of a class and direction."""
        from spark_ml_audit.reviewing.certified import accept_certified

        return accept_certified(
            self.tables, self.run, bulk_id, bound=bound, who=who, tag=tag, direction=direction
        )

    # ---- corrections -------------------------------------------------------------------------------

    def corrected(self) -> Any:
        """The corrected copy as an Arrow table."""
        found = self.tables.table(CORRECTED).existing()
        return None if found is None else self.engine.collect(found)

    def corrections(self) -> list[dict[str, Any]]:
        """Corrections of this output, the newest first."""
        found = self.tables.table(CORRECTION_RUNS).existing()
        if found is None:
            return []
        names = ("correction_id", "run_id", "mode", "undoes", "target", *CORRECTION_COUNTS)
        newest = found.select(*names).sort("correction_id", descending=True).head(_MOST_CORRECTIONS)
        return rows_of(self.engine, newest)

    def newest(self) -> LakeReader:
        """A reader of the newest run of the output."""
        serve = self.config.serve.model_copy(update={"run": None})
        return LakeReader(self.tables, self.config.model_copy(update={"serve": serve}))
