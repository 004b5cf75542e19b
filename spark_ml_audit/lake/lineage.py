"""What a corrected copy continues: recorded in its properties, read from them, followed to other outputs.

A property is data: whoever writes the table writes it. So it is read with care, and followed only to where
the audit's own user may look anyway: folders of this machine, the output's own store, the catalog.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from spark_ml_audit.config import OutputConfig
from spark_ml_audit.config.paths import absolute, scheme_of
from spark_ml_audit.errors import AuditError
from spark_ml_audit.lake.output import OutputTables
from spark_ml_audit.lake.schemas import RUNS
from spark_ml_audit.outcomes.runs import FinishedRun, Origin
from spark_ml_audit.text import redact, show

if TYPE_CHECKING:
    from spark_ml_audit.outcomes.runs import RunRef

CONTINUES_PROPERTY = "spark_ml_audit.continues"
"""Table property of a corrected copy: `Origin` records as JSON, the nearest first."""

_MOST_ORIGINS = 20
_PLACE_KEYS = ("path", "schema", "prefix")

Found = TypeVar("Found")


def origin_of(run: RunRef, correction_id: str, output: OutputConfig) -> Origin:
    """What a copy of the source of an audit continues.

    Args:
        run: The audit.
        correction_id: The correction that writes the copy.
        output: Where the audit's tables are.
    """
    return Origin(run.source, run.source_version, run.run_id, correction_id, place_of_output(output))


def place_of_output(output: OutputConfig) -> dict[str, str]:
    """An output as others find it, without secrets.

    >>> place_of_output(OutputConfig(schema="main.audits", prefix="films_"))
    {'schema': 'main.audits', 'prefix': 'films_'}
    """
    if output.path is not None:
        return {"path": redact(absolute(output.path).rstrip("/") or "/")}
    return {"schema": redact(output.schema_name or ""), "prefix": output.prefix}


def write_origins(origins: Sequence[Origin]) -> str:
    """The text of the property, which `read_origins` reads."""
    return json.dumps([origin.to_dict() for origin in origins[:_MOST_ORIGINS]], ensure_ascii=False)


def read_origins(text: str | None) -> tuple[Origin, ...]:
    """The audits that a property names, up to the first that is not as this package writes it.

    >>> output = {"path": "/data/audits"}
    >>> run_id, correction_id = "20260131t180000z-0a1b2c3d", "20260201t090000z-4e5f6a7b"
    >>> origin = Origin("data/films", "7", run_id, correction_id, output)
    >>> read_origins(write_origins([origin])) == (origin,)
    True
    >>> read_origins('[{"source": "data/films"}]'), read_origins("by hand"), read_origins(None)
    ((), (), ())
    >>> read_origins("[" * 200_000)
    ()
    """
    try:
        listed = json.loads(text or "[]")
    except (ValueError, RecursionError):
        return ()
    found = []
    for item in listed[:_MOST_ORIGINS] if isinstance(listed, list) else ():
        origin = _origin(item)
        if origin is None:
            break
        found.append(origin)
    return tuple(found)


def _origin(item: object) -> Origin | None:
    try:
        version = item["source_version"]  # type: ignore[index]
        texts = {name: item[name] for name in ("source", "run_id", "correction_id")}  # type: ignore[index]
        output = {name: item["output"][name] for name in _PLACE_KEYS if name in item["output"]}  # type: ignore[index]
        held = [*texts.values(), *output.values(), *([] if version is None else [version])]
        if not all(isinstance(text, str) for text in held):
            return None
        "".join(held).encode()  # a lone surrogate can be stored nowhere
        # ids reach file names; both have the shape of a run's
        for name in ("run_id", "correction_id"):
            OutputConfig.parse({**output, "run_id": texts[name]}, "output")
    except (AuditError, KeyError, TypeError, UnicodeEncodeError):
        return None
    return Origin(texts["source"], version, texts["run_id"], texts["correction_id"], output)


# ---- other outputs ---------------------------------------------------------------------------------


def is_elsewhere(tables: OutputTables, place: Mapping[str, str]) -> bool:
    """Whether a place is another output than this one."""
    return place_of_output(tables.config) != place_of_output(OutputConfig.parse(dict(place), "output"))


def output_at(tables: OutputTables, place: Mapping[str, str]) -> OutputTables | None:
    """Another output, if it can be reached from here and may be followed to."""
    path = place.get("path", "")
    if "***" in path or (
        scheme_of(path) not in ("", "file") and _store(path) != _store(tables.location(RUNS))
    ):
        return None
    try:
        other = OutputTables(tables.engine, OutputConfig.parse(dict(place), "output"))
        return other if other.exists(RUNS) else None
    except AuditError:
        return None


def _store(path: str) -> str:
    """Scheme and authority of an address."""
    return "/".join(path.split("/")[:3])


def elsewhere(tables: OutputTables, origin: Origin) -> OutputTables | None:
    """The other output that holds an audit that is continued; None if it is here or out of reach."""
    return output_at(tables, origin.output) if is_elsewhere(tables, origin.output) else None


def holding(tables: OutputTables, run: FinishedRun) -> OutputTables:
    """The output that holds a run.

    Args:
        tables: The output that was asked for the run.
        run: What was found.

    Raises:
        AuditError: It is in another one, which cannot be reached any more.
    """
    if run.output is None:
        return tables
    other = output_at(tables, run.output)
    if other is None:
        raise AuditError(
            f"run {run.run_id} is in another output, {described(run.output)}, which cannot be read from here."
        )
    return other


def described(place: Mapping[str, str]) -> str:
    """An output in words.

    >>> described({"path": "/data/audits"}), described({"schema": "main.audits", "prefix": "films_"})
    ("'/data/audits'", "'main.audits.films_'")
    """
    return f"'{place['path']}'" if "path" in place else f"'{place.get('schema')}.{place.get('prefix', '')}'"


def not_found(origin: Origin) -> str:
    """A sentence on an audit that is continued and cannot be reached.

    >>> output = {"path": "/data/audits"}
    >>> not_found(Origin("data/films", "7", "20260131t180000z-0a1b2c3d", "20260201t090000z-4e5f6a7b", output))
    "it continues run 20260131t180000z-0a1b2c3d of 'data/films', which was not found in '/data/audits'"
    """
    return (
        f"it continues run {origin.run_id} of {show(origin.source)}, which was not found in "
        f"{described(origin.output)}"
    )


def first_of(
    tables: OutputTables, origins: Sequence[Origin], look: Callable[[OutputTables, Origin], Found | None]
) -> Found | None:
    """What is found first where the audits that are continued are, if elsewhere; None where nothing is.

    Args:
        tables: The output.
        origins: The audits, nearest first.
        look: Looks into another output; what it raises means that nothing is found there.
    """
    for origin in origins:
        other = elsewhere(tables, origin)
        try:
            found = None if other is None else look(other, origin)
        except Exception:  # noqa: BLE001 - what others hold and cannot be read is as if it were not there
            found = None
        if found is not None:
            return found
    return None
