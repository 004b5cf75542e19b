"""Commands to go on with: an audit of what another command wrote, told to read it in the same way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spark_ml_audit.config.audit import AuditConfig, AuditSource
from spark_ml_audit.config.base import Section
from spark_ml_audit.config.engine import EngineConfig
from spark_ml_audit.config.output import OutputConfig, TrackingConfig
from spark_ml_audit.config.predict import PredictConfig
from spark_ml_audit.config.source import LabelsConfig, PlaceConfig
from spark_ml_audit.errors import ConfigError

# where the source is, and what the table written says itself
_OWN = frozenset({"path", "table", "format", "version", "classes", "row_numbers"})
_LABELS = ("id", "labels", "labels_format", "labels_delimiter", "empty_labels")
_OF_ROWS = ("source.format", "source.version", "source.id", "source.row_numbers")
_MOST_CLASSES = 20
_JUDGED_BY = ("audit", "model", "detect")


def audit_of_predictions(config: PredictConfig, place: str, texts: Sequence[str] = ()) -> str:
    """The command that audits the table `predictions`.

    Args:
        config: That of `predict`.
        place: Path or table of the predictions.
        texts: Columns to show in the report.

    Example:
        >>> values = {"source": {"path": "films", "id": "film"}, "output": {"path": "audits/films"}}
        >>> audit_of_predictions(PredictConfig.parse(values), "audits/films/predictions", ["plot"])
        'spark-ml-audit audit audits/films/predictions --out audits/films --id film --show plot'
        >>> decided = {**values, "source": {**values["source"], "decisions": "audits/films/decisions"}}
        >>> audit_of_predictions(PredictConfig.parse(decided), "audits/films/predictions")[-34:]
        '--decisions audits/films/decisions'
    """
    read = (*_LABELS, "decisions")
    settings = {key: value for key, value in _changed(config.source, "source").items() if _name(key) in read}
    if texts:
        settings["source.show"] = list(texts)
    settings |= config.tracking.settings | config.engine.settings
    return config.output.command("audit", settings, source=place)


def predictions_for(config: AuditConfig) -> str:
    """The command that predicts out-of-sample probabilities for the source of an audit.

    Args:
        config: That of the audit.

    Example:
        >>> values = {"source": {"path": "films", "id": "film"}, "output": {"path": "audits/films"}}
        >>> predictions_for(AuditConfig.parse(values))
        'spark-ml-audit predict films --out audits/films --id film'
    """
    read = {*PlaceConfig.model_fields, *LabelsConfig.model_fields, "decisions"} - {"path", "table"}
    if len(config.source.classes or ()) > _MOST_CLASSES:
        read.remove("classes")
    settings = {key: value for key, value in _changed(config.source, "source").items() if _name(key) in read}
    return config.output.command("predict", settings, source=config.source.name)


def tagging_by(config: PredictConfig, uri: str) -> str:
    """The command that tags the rows of a source by the model that `predict` kept.

    Args:
        config: That of `predict`.
        uri: Address of the model.

    Example:
        >>> values = {"source": {"path": "films", "id": "film"}, "output": {"path": "audits/films"}}
        >>> tagging_by(PredictConfig.parse(values), "models:/film_tags/1")
        'spark-ml-audit tag films --out audits/films --model models:/film_tags/1 --id film'
    """
    changed = _changed(config.source, "source")
    if "source.row_numbers" in changed:
        changed.pop("source.id", None)  # it is the number
    settings = {"model.uri": uri} | {key: changed[key] for key in _OF_ROWS if key in changed}
    settings |= config.tracking.settings | config.engine.settings
    return config.output.command("tag", settings, source=config.source.name)


def audit_of_copy(
    source: AuditSource,
    recorded: Mapping[str, object],
    place: str,
    output: OutputConfig,
    engine: EngineConfig,
) -> str | None:
    """The command that audits a corrected copy as its source was audited.

    Args:
        source: The audited source.
        recorded: Config of that audit, as `runs` keeps it.
        place: Path or table of the copy.
        output: Where the audits go.
        engine: What runs them.

    Returns:
        The command; None where the config was that of another version and is not understood, or where the
        probabilities are in other files by row number: the copy has its numbers in a column, they have not.

    Example:
        >>> source = AuditSource.parse({"path": "films", "id": "film"}, "source")
        >>> recorded = {"source": {"path": "films"}, "audit": {"alpha": 0.5}}
        >>> output = OutputConfig(path="audits/films")
        >>> audit_of_copy(source, recorded, "audits/films/corrected", output, EngineConfig())
        'spark-ml-audit audit audits/films/corrected --out audits/films --id film --set audit.alpha=0.5'
    """
    if source.row_numbers and source.pred_probs_from is not None:
        return None
    settings = {key: value for key, value in _changed(source, "source").items() if _name(key) not in _OWN}
    read = recorded.get("source")
    if isinstance(read, Mapping) and read.get("decisions") is not None:
        settings["source.decisions"] = read["decisions"]
    try:
        for name in _JUDGED_BY:
            kind = AuditConfig.model_fields[name].default
            section = recorded.get(name)
            if name == "model" and section is not None:
                settings["model"] = dict(section) if isinstance(section, Mapping) else section
            elif isinstance(section, Mapping) and isinstance(kind, Section):
                settings |= _changed(type(kind).parse(section, name), name)
        settings |= _tracking_of(recorded)
    except ConfigError:
        return None
    return output.command("audit", settings | engine.settings, source=place)


def review_settings(recorded: Mapping[str, object]) -> dict[str, object]:
    """What `review` must be told beside the output: where the MLflow run of the audit is.

    Args:
        recorded: Config of the audit, as `runs` keeps it.
    """
    try:
        return _tracking_of(recorded)
    except ConfigError:
        return {}


def _tracking_of(recorded: Mapping[str, object]) -> dict[str, object]:
    section = recorded.get("tracking")
    return TrackingConfig.parse(section, "tracking").settings if isinstance(section, Mapping) else {}


def _changed(section: Section, prefix: str) -> dict[str, object]:
    """Dotted keys with another value than the default, as YAML has them."""
    found = section.model_dump(mode="json", by_alias=True)
    fields = type(section).model_fields
    return {
        f"{prefix}.{field.alias or name}": found[field.alias or name]
        for name, field in fields.items()
        if getattr(section, name) != field.get_default(call_default_factory=True)
    }


def _name(key: str) -> str:
    return key.partition(".")[2]
