"""A small source on the embedded engine, and what finds near-duplicates in it."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from spark_ml_audit.config.detect import DetectConfig
from spark_ml_audit.config.source import ColumnsConfig
from spark_ml_audit.detection.content_hashes import DuplicateFinder
from spark_ml_audit.detection.duplicates import find_duplicates_frame, plan_duplicates
from spark_ml_audit.engines.base import rows_of
from spark_ml_audit.engines.embedded import EmbeddedEngine
from spark_ml_audit.frames.ingest import Ingest, inspect_source

TAGS = ["red", "green", "blue"]


def ingest_of(engine: EmbeddedEngine, columns: dict[str, Any], tags: list[list[str] | None]) -> Ingest:
    """Rows with ids r0, r1, ..., these tags, and probabilities of no interest."""
    table = pa.table(
        {
            "id": [f"r{i}" for i in range(len(tags))],
            "labels": pa.array(tags, pa.list_(pa.string())),
            "pred_probs": [[0.5] * len(TAGS)] * len(tags),
            **columns,
        }
    )
    config = ColumnsConfig.from_arguments(id="id", classes=TAGS)
    return inspect_source(engine, engine.from_arrow(table), config)


def finder_of(ingest: Ingest, **wanted: Any) -> DuplicateFinder:
    """What the section `detect.duplicates` makes of these rows."""
    config = DetectConfig.parse({"duplicates": wanted}, "detect").duplicates
    assert config is not None
    found = plan_duplicates(ingest, config)
    assert found is not None
    return found


def duplicates_of(finder: DuplicateFinder) -> tuple[dict[str, dict[str, Any]], tuple[str, ...]]:
    """Rows of the table `duplicates` by id, and the warnings."""
    found = find_duplicates_frame(finder)
    rows = rows_of(finder.ingest.engine, found.frame)
    return {row.pop("id"): row for row in rows}, found.warnings
