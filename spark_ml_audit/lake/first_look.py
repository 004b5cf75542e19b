"""A local source examined in this process before a Spark of this machine is started, which takes seconds.

What is refused here would be refused with Spark too, in the same words and by the same functions. Whatever
cannot be told for certain without Spark is left to it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from spark_ml_audit.config.paths import local_path
from spark_ml_audit.engines.choose import scout_engine, starts_spark
from spark_ml_audit.engines.files import local_files
from spark_ml_audit.errors import AuditError, ExitCode, InputError
from spark_ml_audit.lake.places import Place
from spark_ml_audit.lake.source import OpenSource, open_source
from spark_ml_audit.lake.source_format import TEXT_FORMATS, format_of

if TYPE_CHECKING:
    from spark_ml_audit.config import EngineConfig, PlaceConfig
    from spark_ml_audit.engines.base import Engine, Session

_LOG = "_delta_log"
# Where these are set, a path without a scheme may be one of another file system.
_ELSEWHERE = ("HADOOP_CONF_DIR", "SPARK_CONF_DIR", "SPARK_HOME")
# How pyspark.ml stores a vector: Spark alone tells it from a struct.
_VECTOR = ("type", "size", "indices", "values")


def look_first(
    wanted: EngineConfig,
    source: PlaceConfig,
    spark: Session | None,
    examine: Callable[[OpenSource], object],
    check_names: Callable[[pa.Schema], object],
) -> None:
    """Refuse a local source that cannot serve, before a Spark of this machine is started for it.

    Does nothing where no Spark would have to be started, or the source is elsewhere.

    Args:
        wanted: The `engine` section.
        source: The `source` section.
        spark: Session given.
        examine: Raises what is wrong with the source, opened by the embedded engine.
        check_names: Raises which column is missing; asked where that engine is not installed.

    Raises:
        InputError: The source cannot serve.
        ConfigError: The config does not fit it.
    """
    place = Place.of_source(source)
    local = local_path(place.address) if place.is_path else None
    if local is None or not starts_spark(wanted, spark) or any(map(os.environ.get, _ELSEWHERE)):
        return
    found, engine = format_of(source), scout_engine(wanted)
    if engine is None:
        if found == "parquet" and (files := local_files(place.address)):
            _only_refusals(lambda: check_names(_names_in(files, local)))
        return
    if found in TEXT_FORMATS and not place.is_small:
        engine.close()
        return  # parsing it twice would cost more than it saves
    try:
        opened = _opened(engine, source, local)
        if opened is not None and not any(map(_may_be_vector, opened.schema.types)):
            _only_refusals(lambda: examine(opened))
    finally:
        engine.close()


def _only_refusals(check: Callable[[], object]) -> None:
    """Let through what a check refuses; of what else goes wrong, Spark may know better."""
    try:
        check()
    except AuditError as error:
        if error.exit_code == ExitCode.USAGE:
            raise
    except Exception:  # noqa: BLE001, S110 - Spark is asked next, and reports its own errors
        pass


def _opened(engine: Engine, source: PlaceConfig, local: Path) -> OpenSource | None:
    """The source; None where this engine does not read it, which says little of another one."""
    try:
        return open_source(engine, source)
    except InputError as error:
        if _is_certain(engine, error, source, local):
            raise
    except Exception:  # noqa: BLE001, S110 - see above
        pass
    return None


def _is_certain(engine: Engine, error: InputError, source: PlaceConfig, local: Path) -> bool:
    """Whether no other reader would open the source either."""
    if not local.exists():
        return not local_files(str(local))
    found = format_of(source)
    if found in TEXT_FORMATS:
        return error.key != "source.pred_probs_from"  # parsed by the same code, whatever runs the rest
    if found == "delta":
        if not (local / _LOG).is_dir():
            return True
        # a version that is not there, in a table that can be read
        with suppress(Exception):
            newest = source.model_copy(update={"version": None})
            return error.key == "source.version" and bool(open_source(engine, newest).schema.names)
        return False
    return found == "parquet" and (local / _LOG).is_dir()


def _may_be_vector(kind: pa.DataType) -> bool:
    return bool(pa.types.is_struct(kind)) and tuple(item.name for item in kind) == _VECTOR


def _names_in(files: Iterable[Path], folder: Path) -> pa.Schema:
    """Columns of Parquet files, those of folders named `column=value` included."""
    first, *_ = files
    schema = pq.read_schema(first)
    parents = first.parent.parts[len(folder.parts) :] if first.is_relative_to(folder) else first.parent.parts
    for part in parents:
        name, equals, _ = part.partition("=")
        if equals and name not in schema.names:
            schema = schema.append(pa.field(name, pa.string()))
    return schema
