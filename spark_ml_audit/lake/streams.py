"""Tables read as streams and written as streams: each row once. Streams are Spark's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from spark_ml_audit.engines.extras import how_to_use_spark
from spark_ml_audit.errors import ConfigError, InputError, reason_of
from spark_ml_audit.lake.places import Place
from spark_ml_audit.lake.source_format import format_of

if TYPE_CHECKING:
    from spark_ml_audit.config import PlaceConfig
    from spark_ml_audit.engines.base import Engine, Frame
    from spark_ml_audit.engines.spark import SparkEngine
    from spark_ml_audit.lake.source import OpenSource


def check_streams(engine: Engine) -> None:
    """Refuse an engine that knows no streams.

    Raises:
        ConfigError: It is one (key `source.stream`).
    """
    if engine.kind != "spark":
        raise ConfigError(
            f"the {engine.kind} engine reads no streams.",
            key="source.stream",
            fix=how_to_use_spark(),
        )


def append_stream(
    opened: OpenSource,
    config: PlaceConfig,
    name: str,
    target: Place,
    checkpoint: str,
    transform: Callable[[Frame], Frame],
) -> None:
    """Append to a Delta table what is made of the rows that a source got since the last time.

    Args:
        opened: The source, read as a table; `check_streams` has passed its engine.
        config: The `source` section.
        name: Of the table to append to, for messages.
        target: Where it is; created if missing.
        checkpoint: Folder in which is kept what was read.
        transform: Makes rows of the target from rows of the source. What it is given cannot be collected.

    Raises:
        InputError: The stream cannot go on.
    """
    from spark_ml_audit.engines.spark import from_frame, to_frame

    found = format_of(config)
    if found not in ("delta", "parquet"):
        raise ConfigError(
            f"'{config.name}' is of format {found}, and streams read Delta tables.",
            key="source.stream",
            fix="Set source.stream to false, or write the rows into a Delta table.",
        )
    place, reader = Place.of_source(config), cast("SparkEngine", opened.engine).session.readStream
    if found == "parquet":
        reader = reader.format("parquet").schema(from_frame(opened.frame).schema)
    else:
        reader = reader.format("delta")
    rows = reader.load(place.address) if place.is_path else reader.table(place.table_name)
    writer = (
        from_frame(transform(to_frame(rows)))
        .writeStream.format("delta")
        .outputMode("append")
        .option("checkpointLocation", checkpoint)
        .trigger(availableNow=True)
    )
    try:
        query = writer.start(target.address) if target.is_path else writer.toTable(target.table_name)
        query.awaitTermination()
    except Exception as error:
        raise InputError(
            f"the stream into '{name}' stopped: {reason_of(error)}.",
            key="source.stream",
            fix="Rows may only be added to the source; a checkpoint belongs to one source and output.",
        ) from error
