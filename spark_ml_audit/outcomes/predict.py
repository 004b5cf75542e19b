"""What `predict` and `tag` return."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spark_ml_audit.errors import ExitCode
from spark_ml_audit.outcomes.base import EXIT_CODES, Status, plain

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class PredictOutcome:
    """Finished out-of-sample predictions; num_rows = num_predicted + num_quarantined.

    Attributes:
        run_id: Id of the run.
        status: What the exit status follows from.
        delivered: Whether tracking and registry were served too.
        num_rows: Rows of the source.
        num_predicted: Rows that got probabilities, unlabelled ones included.
        num_unlabelled: Predicted rows whose labels are null; no model was trained on them.
        num_quarantined: Rows rejected.
        num_trained: Rows that models were trained on, after sampling.
        num_classes: Number of classes K.
        folds: Number of folds; None where a given model predicted.
        kind: Kind of model, as resolved.
        quality: Name -> figure out of fold, such as macro_auc; None where it is undefined.
        tables: Name -> path or table; ``predictions`` is always there.
        model_uri: Address of the final model in MLflow; None where none was kept.
        mlflow_run_id: Id of the MLflow run; None when tracking was down.
        stages: Stage -> seconds.
        warnings: Sentences.
        source: Path or table that was read.
        source_version: Its pinned version.
        already_finished: Whether an earlier invocation finished this run and nothing was done now.
    """

    run_id: str
    status: Status
    delivered: bool
    num_rows: int
    num_predicted: int
    num_unlabelled: int
    num_quarantined: int
    num_trained: int
    num_classes: int
    folds: int | None
    kind: str
    quality: dict[str, float | None]
    tables: dict[str, str]
    model_uri: str | None
    mlflow_run_id: str | None
    stages: dict[str, float]
    warnings: tuple[str, ...]
    source: str
    source_version: str | None
    already_finished: bool = False

    @property
    def exit_code(self) -> ExitCode:
        """Exit status of the command: 0 or 4."""
        return EXIT_CODES[self.status]

    def to_json(self) -> dict[str, Any]:
        """Return the object that ``--json`` prints."""
        return _with_common_keys(self)


@dataclass(frozen=True)
class TagOutcome:
    """New rows tagged by a model; num_rows = num_tagged + num_quarantined.

    Attributes:
        run_id: Id of the run.
        status: What the exit status follows from.
        delivered: Whether tracking arrived too.
        num_rows: Rows read.
        num_tagged: Rows that got tags, rows for which no tag applies included.
        num_quarantined: Rows rejected.
        num_tags: Tags given in all.
        num_classes: Number of classes K.
        tables: Name -> path or table; ``tags`` is always there.
        model_uri: Address of the model, its version pinned.
        mlflow_run_id: Id of the MLflow run; None where there is none.
        stages: Stage -> seconds.
        warnings: Sentences.
        source: Path or table that was read.
        source_version: Its pinned version; None for a stream.
        already_finished: Whether an earlier invocation finished this run and nothing was done now.
    """

    run_id: str
    status: Status
    delivered: bool
    num_rows: int
    num_tagged: int
    num_quarantined: int
    num_tags: int
    num_classes: int
    tables: dict[str, str]
    model_uri: str
    mlflow_run_id: str | None
    stages: dict[str, float]
    warnings: tuple[str, ...]
    source: str
    source_version: str | None
    already_finished: bool = False

    @property
    def exit_code(self) -> ExitCode:
        """Exit status of the command: 0 or 4."""
        return EXIT_CODES[self.status]

    def to_json(self) -> dict[str, Any]:
        """Return the object that ``--json`` prints."""
        return _with_common_keys(self)


def _with_common_keys(outcome: PredictOutcome | TagOutcome) -> dict[str, Any]:
    """The record's own fields, and the keys that every command's result has."""
    found = {name: getattr(outcome, name) for name in outcome.__dataclass_fields__}
    return {name: plain(value) for name, value in {**found, "report": None, "gates": []}.items()}
