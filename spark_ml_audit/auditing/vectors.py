"""Vectors that `predict` has stored, as a column that rows are compared by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import narwhals as nw
import pyarrow as pa

from spark_ml_audit.config.features import FeaturesConfig
from spark_ml_audit.frames.comparable import embedding_columns, not_compared
from spark_ml_audit.lake.schemas import PREDICTIONS, VECTORS

if TYPE_CHECKING:
    from spark_ml_audit.auditing.context import AuditContext
    from spark_ml_audit.auditing.fitting import FittedSource
    from spark_ml_audit.config import DetectConfig
    from spark_ml_audit.frames.ingest import Ingest

COLUMN = "vectors"
"""Name of the column, for `detect` and for messages."""

_LEAST_SHARE = 0.5


def with_stored_vectors(context: AuditContext, fitted: FittedSource) -> FittedSource:
    """An audit whose rows have the column `vectors`, where something is looked for by it.

    Outliers are compared by the vectors where the output has them for at least half of the rows, no columns
    are named for it, and the source has no embedding of its own; near-duplicates where they are named.

    Args:
        context: The audit.
        fitted: Its fit.
    """
    fit, detect = fitted.fit, context.config.detect
    names, group = fit.ingest.schema.names, context.config.source.group
    if COLUMN in names or not _wants(detect, fit.ingest, group):
        return fitted
    about = _newest_encoding(context, fitted)
    if about is None or not set(about["columns"]) <= set(names):
        return fitted
    # scikit-learn, which is among what these need, takes a second to import
    from spark_ml_audit.lake.vectors import StoredVectors
    from spark_ml_audit.models.encoders.choose import IMAGES, TEXTS
    from spark_ml_audit.models.encoders.encoding import EncoderRef
    from spark_ml_audit.models.images import ImageFiles

    images = ImageFiles(about["image_folder"]) if about.get("of") == IMAGES else None
    encoder = EncoderRef(about["encoder"], about["identity"], TEXTS if images is None else IMAGES)
    stored = StoredVectors(context.tables, encoder, tuple(about["layers"]), tuple(about["columns"]), images)
    frame = stored.compared(fit.ingest.frame, about["layer"], COLUMN)
    is_known = (~nw.col(COLUMN).is_null()).cast(nw.Int64)
    counts = frame.select(nw.len().alias("rows"), is_known.sum().alias("known"))
    found = context.tables.engine.collect(counts).to_pylist()[0]
    if not found["known"] or found["known"] < _LEAST_SHARE * found["rows"]:
        return fitted
    context.progress.note(f"vectors: by {encoder.value}, layer {about['layer']}, less their mean")
    schema = fit.ingest.schema.append(pa.field(COLUMN, pa.list_(pa.float32())))
    ingest = replace(fit.ingest, frame=frame, schema=schema)
    # rejected rows are told with the columns of the source
    return replace(fitted, fit=replace(fit, ingest=ingest, rejected_from=fit.rejected_from or fit.ingest))


def _wants(detect: DetectConfig, ingest: Ingest, group: str | None) -> bool:
    """Whether anything is looked for by the column."""
    if detect.duplicates is not None and detect.duplicates.embedding == COLUMN:
        return True
    if detect.outliers is None:
        return False
    features = detect.outliers.features
    if isinstance(features, FeaturesConfig):
        return COLUMN in features.by_kind["embedding"]
    own = embedding_columns(ingest.schema, not_compared(ingest.layout, group))
    return features is None and not own


def _newest_encoding(context: AuditContext, fitted: FittedSource) -> Mapping[str, Any] | None:
    """What the newest predictions of the output noted of their encoder."""
    if fitted.predicted is not None:
        return fitted.predicted.encoder
    tables = context.tables
    if not tables.exists(VECTORS) or not tables.exists(PREDICTIONS):
        return None
    commits = tables.table(PREDICTIONS).commits("encoder")
    models = (commit.metadata.get("model") or {} for commit in commits)
    return next((model["encoder"] for model in models if model.get("encoder")), None)
