"""A source without probabilities: what to type to get them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spark_ml_audit.config.continuing import predictions_for
from spark_ml_audit.engines.columns import missing_column_fix
from spark_ml_audit.errors import InputError
from spark_ml_audit.frames.hints.columns import columns_of_probs, likely_column

if TYPE_CHECKING:
    import pyarrow as pa

    from spark_ml_audit.config import AuditConfig

_KEY = "source.pred_probs"


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
        fix=f"If there are no probabilities yet, this makes them: {predictions_for(config)} (then audit its "
        f"table predictions). {missing_column_fix(name, schema.names)}",
    )
