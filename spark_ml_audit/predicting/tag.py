"""`tag`: a stored model applied to new rows, of a table or of a stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from pyspark.sql import functions as F

from spark_ml_audit.config.paths import absolute
from spark_ml_audit.engines.choose import choose_engine
from spark_ml_audit.errors import InputError, reason_of
from spark_ml_audit.frames.features import sample_of
from spark_ml_audit.lake.output import OutputTables
from spark_ml_audit.lake.places import Place
from spark_ml_audit.lake.schemas import QUARANTINE, TAGS
from spark_ml_audit.lake.source import OpenSource, open_source
from spark_ml_audit.models.scorers import Scorer
from spark_ml_audit.outcomes.predict import TagOutcome
from spark_ml_audit.outcomes.runs import new_run_id
from spark_ml_audit.predicting.loaded_model import LoadedModel, load_model
from spark_ml_audit.predicting.tags import check_tag_source, tags_frame, unnamed_frame
from spark_ml_audit.tracking import Destination, resolve_tracking_uri

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from spark_ml_audit.config import TagConfig
    from spark_ml_audit.progress import Progress

_DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True)
class _Tagger:
    """A model ready for this source."""

    uri: str
    scorer: Scorer
    id_name: str
    columns: tuple[str, ...]
    classes: tuple[str, ...]
    thresholds: npt.NDArray[np.float32]

    def tag(self, opened: OpenSource, frame: DataFrame) -> DataFrame:
        return tags_frame(
            opened.engine,
            frame,
            self.id_name,
            self.columns,
            self.scorer,
            self.thresholds,
            self.classes,
            self.uri,
        )


def run_tag(config: TagConfig, progress: Progress, spark: SparkSession | None = None) -> TagOutcome:
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
    with progress.stage("session"):
        tables = OutputTables(choose_engine(spark), config.output)
    with progress.stage("source"):
        opened = open_source(tables.engine, config.source)
    done = config.output.run_id is not None and tables.commit_of(TAGS, run_id) is not None
    with progress.stage("model"):
        loaded = load_model(config.model.address, destination, allow_pickle=config.model.allow_pickle)
        tagger = _prepare(loaded, opened, config.source.id)
    tables.create_schema()
    if done:
        progress.note(f"run {run_id} is finished already; nothing was changed")
    elif config.source.stream:
        with progress.stage("stream"):
            _stream(config, tables, tagger, opened, run_id)
    else:
        with progress.stage("tag"):
            unnamed = unnamed_frame(opened.frame, config.source.id)
            if tables.existing(QUARANTINE) is None or not unnamed.isEmpty():
                tables.append(QUARANTINE, unnamed, run_id)
            tables.append(TAGS, tagger.tag(opened, opened.frame), run_id)
    with progress.stage("count"):
        num_tagged, num_tags = _counts(tables, run_id)
        rejected = tables.existing(QUARANTINE)
        num_rejected = 0 if rejected is None else rejected.where(F.col("run_id") == run_id).count()
    return TagOutcome(
        run_id=run_id,
        num_rows=num_tagged + num_rejected,
        num_tagged=num_tagged,
        num_quarantined=num_rejected,
        num_tags=num_tags,
        num_classes=len(tagger.classes),
        tables=tables.locations(TAGS, QUARANTINE),
        model_uri=tagger.uri,
        stages=progress.stages,
        warnings=tuple(_warnings(num_tagged, num_rejected, config)),
        source=opened.name,
        source_version=None if config.source.stream else opened.version,
        already_finished=done,
    )


def _warnings(num_tagged: int, num_rejected: int, config: TagConfig) -> list[str]:
    found = []
    if num_rejected:
        found.append(f"{num_rejected} of {num_tagged + num_rejected} rows have no id and are in quarantine.")
    if not num_tagged:
        found.append("No new rows were found." if config.source.stream else "The source has no rows to tag.")
    return found


def _counts(tables: OutputTables, run_id: str) -> tuple[int, int]:
    table = tables.existing(TAGS)
    if table is None:
        return 0, 0
    own = table.where(F.col("run_id") == run_id)
    row = own.agg(F.count(F.lit(1)), F.coalesce(F.sum(F.size("tags")), F.lit(0))).collect()[0]
    return row[0], row[1]


def _prepare(loaded: LoadedModel, opened: OpenSource, id_name: str) -> _Tagger:
    if loaded.columns is None:
        raise InputError(
            f"the model at {loaded.uri} does not say which columns it reads.",
            key="model.uri",
            fix="Log it with a signature that names its input columns.",
        )
    check_tag_source(opened.frame, id_name, loaded.columns)
    sample = sample_of(opened.frame, loaded.columns, id_name)
    if loaded.model is not None:
        model = loaded.model
        thresholds = model.thresholds
        if thresholds is None:
            thresholds = np.full(len(model.classes), _DEFAULT_THRESHOLD, dtype=np.float32)
        tried = loaded.try_on(sample, model.classes) if len(sample) else loaded
        return _Tagger(loaded.uri, tried.scorer, id_name, loaded.columns, model.classes, thresholds)
    classes = loaded.output_names(sample)
    tried = loaded.try_on(sample, classes)
    limits = np.full(len(classes), _DEFAULT_THRESHOLD, dtype=np.float32)
    return _Tagger(loaded.uri, tried.scorer, id_name, loaded.columns, classes, limits)


def _stream(
    config: TagConfig, tables: OutputTables, tagger: _Tagger, opened: OpenSource, run_id: str
) -> None:
    source, place, checkpoint = (
        config.source,
        Place.of_source(config.source),
        absolute(config.checkpoint or ""),
    )
    reader = opened.frame.sparkSession.readStream
    if source.format == "parquet":
        reader = reader.format("parquet").schema(opened.frame.schema)
    else:
        reader = reader.format("delta")
    frame = reader.load(place.address) if place.is_path else reader.table(place.table_name)
    # one query per table: each commits with its own stream id and batch number, so neither repeats a batch
    for name, rows in ((QUARANTINE, unnamed_frame(frame, source.id)), (TAGS, tagger.tag(opened, frame))):
        stamped = rows.select(F.lit(run_id).alias("run_id"), "*")
        writer = (
            stamped.writeStream.format("delta")
            .outputMode("append")
            .option("checkpointLocation", f"{checkpoint.rstrip('/')}/{name}")
            .trigger(availableNow=True)
        )
        target = tables.table(name).place
        try:
            query = writer.start(target.address) if target.is_path else writer.toTable(target.table_name)
            query.awaitTermination()
        except Exception as error:
            raise InputError(
                f"the stream into '{name}' stopped: {reason_of(error)}.",
                key="source.stream",
                fix="Rows may only be added to the source; a checkpoint belongs to one source and output.",
            ) from error
