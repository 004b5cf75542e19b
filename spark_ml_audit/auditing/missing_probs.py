"""A source without probabilities: what to type to get them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spark_ml_audit.config.source import LabelsConfig, PlaceConfig
from spark_ml_audit.engines.columns import missing_column_fix
from spark_ml_audit.errors import InputError
from spark_ml_audit.frames.hints.columns import columns_of_probs, likely_column

if TYPE_CHECKING:
    import pyarrow as pa

    from spark_ml_audit.config import AuditConfig

_KEY = "source.pred_probs"
_MOST_CLASSES = 20


def check_has_probs(config: AuditConfig, schema: pa.Schema) -> None:
    """Refuse a source without the column of probabilities and without any that may be meant by it.

    Args:
        config: The effective config.
        schema: Of the source.

    Raises:
        InputError: It has none; the fix is the command that makes them.
    """
    name = config.source.pred_probs
    if not isinstance(name, str) or name in schema.names:
        return
    if likely_column(schema, name, _KEY) is not None or columns_of_probs(schema):
        return  # refused where columns are looked up, with the one that is meant
    raise InputError(
        f"the source has no column '{name}'.",
        key=_KEY,
        fix=f"If there are no probabilities yet, this makes them: {predict_command(config)} (then audit its "
        f"table predictions). {missing_column_fix(name, schema.names)}",
    )


def predict_command(config: AuditConfig) -> str:
    """The command that predicts out-of-sample probabilities for the source of an audit."""
    source = config.source
    settings: dict[str, object] = {}
    for name in dict.fromkeys([*PlaceConfig.model_fields, *LabelsConfig.model_fields]):
        if name in ("path", "table"):
            continue
        value, default = getattr(source, name), type(source).model_fields[name].default
        if value == default or (name == "classes" and len(value) > _MOST_CLASSES):
            continue
        settings[f"source.{name}"] = list(value) if isinstance(value, tuple) else value
    return config.output.command("predict", settings, source=source.name)
