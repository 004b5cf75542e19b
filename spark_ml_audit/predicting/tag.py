"""`tag`: a stored model applied to new rows, of a table or of a stream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import narwhals as nw

from spark_ml_audit.config.paths import absolute
from spark_ml_audit.engines.base import count_rows, is_empty
from spark_ml_audit.engines.choose import choose_engine
from spark_ml_audit.engines.columns import column
from spark_ml_audit.errors import ConfigError, InputError
from spark_ml_audit.frames.features import sample_of
from spark_ml_audit.frames.hints.columns import source_field
from spark_ml_audit.frames.ingest import check_id
from spark_ml_audit.lake.first_look import look_first
from spark_ml_audit.lake.output import OutputTables
from spark_ml_audit.lake.schemas import QUARANTINE, TAG_CLASSES, TAG_CLASSES_SCHEMA, TAGS
from spark_ml_audit.lake.source import OpenSource, open_source
from spark_ml_audit.lake.streams import append_stream, check_streams
from spark_ml_audit.models.scorers import Scorer
from spark_ml_audit.outcomes.predict import TagOutcome
from spark_ml_audit.outcomes.runs import new_run_id
from spark_ml_audit.predicting.loaded_model import LoadedModel, load_model
from spark_ml_audit.predicting.stored_calibration import StoredCalibration, stored_calibration
from spark_ml_audit.predicting.tag_rates import compare_rates, number_of_tags, rate_warnings
from spark_ml_audit.predicting.tag_rule import TagRule, rule_of
from spark_ml_audit.predicting.tags import check_tag_source, tags_frame, unnamed_frame
from spark_ml_audit.tracking import Destination, resolve_tracking_uri

if TYPE_CHECKING:
    import pyarrow as pa

    from spark_ml_audit.config import TagConfig
    from spark_ml_audit.engines.base import Frame, Session
    from spark_ml_audit.progress import Progress


@dataclass(frozen=True)
class _Tagger:
    """A model ready for this source."""

    opened: OpenSource
    uri: str
    scorer: Scorer
    id_name: str
    columns: tuple[str, ...]
    classes: tuple[str, ...]
    rule: TagRule
    calibration: StoredCalibration

    @property
    def about(self) -> dict[str, Any]:
        """What the history of the tables records."""
        said = self.rule.tagging
        return {
            "model_uri": self.uri,
            "min_precision": said.min_precision,
            "num_classes_given": said.num_classes_given,
            "num_classes_not_given": said.num_classes_not_given,
            **({} if self.calibration.run_id is None else {"calibrate_run": self.calibration.run_id}),
        }

    def tagged(self, rows: Frame) -> Frame:
        """Rows of the source, a table or a stream, as the table `tags` has them."""
        return tags_frame(
            self.opened.engine,
            rows,
            self.id_name,
            self.columns,
            self.scorer,
            self.rule.thresholds,
            self.classes,
            self.uri,
            self.calibration.calibrators,
        )

    def unnamed(self, rows: Frame) -> Frame:
        """Those without an id, as the table `quarantine` has them."""
        return unnamed_frame(self.opened.engine, rows, self.opened.schema, self.id_name)


def run_tag(config: TagConfig, progress: Progress, spark: Session | None = None) -> TagOutcome:
    """Tag new rows and append them to the table `tags`.

    Every row with an id is tagged by itself; rows without one go to `quarantine`. A batch is one idempotent
    transaction per table. A stream takes each row of its source once, however often it is stopped and
    started again: Delta's sink records the stream's id and batch with every commit.

    Args:
        config: The effective config.
        progress: Shows and times the stages.
        spark: Session to use; the active or a new local one by default.

    Raises:
        ConfigError: The config does not fit the output.
        InputError: The source or the model cannot serve.
        SetupError: Spark or Java is missing.
    """
    run_id = config.output.run_id or new_run_id()
    destination = Destination(
        *resolve_tracking_uri(config.tracking.uri, config.output.files or config.output.path)
    )
    wanted = config.model
    load = cache(lambda: load_model(wanted.address, destination, allow_pickle=wanted.allow_pickle))
    with progress.stage("session"):
        tables = _open_output(config, spark, load)
    with progress.stage("source"):
        opened = open_source(tables.engine, config.source).tell(progress)
    done = config.output.run_id is not None and tables.commit_of(TAGS, run_id) is not None
    with progress.stage("model"):
        tagger = _prepare(load(), opened, config)
    if config.output.run_id is not None:
        _check_retry(tables, tagger, run_id)
    tables.create_schema()
    if done:
        progress.note(f"run {run_id} is finished already; nothing was changed")
    else:
        _write(config, tables, tagger, run_id, progress)
    with progress.stage("count"):
        counted = number_of_tags(tables, run_id)
        rejected = tables.read(QUARANTINE, run_id) if tables.exists(QUARANTINE) else None
        num_rejected = 0 if rejected is None else count_rows(tables.engine, rejected)
        rates = compare_rates(
            tables, run_id, tagger.rule, tagger.classes, counted, is_stream=config.source.stream
        )
    num_tagged, num_tags, _ = counted
    said = [*_warnings(num_tagged, num_rejected, config), *tagger.rule.warnings, *rate_warnings(rates)]
    said += tagger.calibration.warnings
    return TagOutcome(
        run_id=run_id,
        num_rows=num_tagged + num_rejected,
        num_tagged=num_tagged,
        num_quarantined=num_rejected,
        num_tags=num_tags,
        num_classes=len(tagger.classes),
        tables=tables.locations(TAGS, TAG_CLASSES, QUARANTINE),
        model_uri=tagger.uri,
        stages=progress.stages,
        warnings=tuple(said),
        source=opened.name,
        source_version=None if config.source.stream else opened.version,
        already_finished=done,
        engine=tables.engine.kind,
        tagging=tagger.rule.tagging,
        rates=rates,
    )


def _open_output(config: TagConfig, spark: Session | None, load: Callable[[], LoadedModel]) -> OutputTables:
    """The output; a local source that the model cannot read is refused before a Spark is started for it."""

    def check_names(schema: pa.Schema) -> None:
        source_field(schema, config.source.id, "source.id")

    def examine(opened: OpenSource) -> None:
        check_id(opened.schema, config.source.id)
        check_tag_source(opened.schema, config.source.id, load().columns or ())

    if config.output.run_id is None:  # a finished run is told again, whatever became of its source
        look_first(config.engine, config.source, spark, examine, check_names)
    tables = OutputTables(choose_engine(config.engine, spark), config.output)
    if config.source.stream:
        check_streams(tables.engine)
    return tables


def _check_retry(tables: OutputTables, tagger: _Tagger, run_id: str) -> None:
    """Refuse to complete or tell a run by another model or precision than it was begun with."""
    commit = tables.commit_of(TAG_CLASSES, run_id)
    before = {} if commit is None else {name: commit.metadata.get(name) for name in tagger.about}
    changed = next((name for name, value in before.items() if value != tagger.about[name]), None)
    if changed is not None:
        raise ConfigError(
            f"run {run_id} was begun with another rule for tags: its {changed} is {before[changed]}, "
            f"now {tagger.about[changed]}.",
            key="output.run_id",
            fix="Retry with the same model.uri and tag.min_precision, or leave output.run_id out.",
        )


def _write(config: TagConfig, tables: OutputTables, tagger: _Tagger, run_id: str, progress: Progress) -> None:
    """Write what the run has; `tags` comes last, so that a run that is there has the rest too."""
    rows = tagger.rule.class_rows
    tables.append_records(TAG_CLASSES, rows, TAG_CLASSES_SCHEMA, run_id, tagger.about)
    if config.source.stream:
        with progress.stage("stream"):
            _stream(config, tables, tagger, run_id)
        return
    opened = tagger.opened
    with progress.stage("tag"):
        nulls = column(config.source.id).is_null()
        all_named = is_empty(tables.engine, opened.frame.filter(nulls).select(column(config.source.id)))
        if not (tables.exists(QUARANTINE) and all_named):
            tables.append(QUARANTINE, tagger.unnamed(opened.frame), run_id)
        tables.append(TAGS, tagger.tagged(opened.frame), run_id, tagger.about)


def _warnings(num_tagged: int, num_rejected: int, config: TagConfig) -> list[str]:
    found = []
    if num_rejected:
        found.append(f"{num_rejected} of {num_tagged + num_rejected} rows have no id and are in quarantine.")
    if not num_tagged:
        found.append("No new rows were found." if config.source.stream else "The source has no rows to tag.")
    return found


def _prepare(loaded: LoadedModel, opened: OpenSource, config: TagConfig) -> _Tagger:
    if loaded.columns is None:
        raise InputError(
            f"the model at {loaded.uri} does not say which columns it reads.",
            key="model.uri",
            fix="Log it with a signature that names its input columns.",
        )
    id_name = config.source.id
    check_tag_source(opened.schema, id_name, loaded.columns)
    sample = sample_of(opened.engine, opened.frame, opened.schema, loaded.columns, id_name)
    classes = loaded.output_names(sample) if loaded.model is None else loaded.model.classes
    rule = rule_of(loaded, classes, config.tag.min_precision)
    tried = loaded.try_on(sample, classes) if len(sample) or loaded.model is None else loaded
    wanted = config.tag
    calibration = stored_calibration(opened.engine, wanted.calibrate_by, wanted.calibrate_run, classes)
    return _Tagger(opened, loaded.uri, tried.scorer, id_name, loaded.columns, classes, rule, calibration)


def _stream(config: TagConfig, tables: OutputTables, tagger: _Tagger, run_id: str) -> None:
    checkpoint = absolute(config.checkpoint or "").rstrip("/")
    # one query per table: each commits with its own stream id and batch number, so neither repeats a batch
    for name, rows_of_table in ((QUARANTINE, tagger.unnamed), (TAGS, tagger.tagged)):

        def stamped(rows: Frame, made: Callable[[Frame], Frame] = rows_of_table) -> Frame:
            return made(rows).select(nw.lit(run_id).alias("run_id"), nw.all())

        target = tables.table(name).place
        append_stream(tagger.opened, config.source, name, target, f"{checkpoint}/{name}", stamped)
