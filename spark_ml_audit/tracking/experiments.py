"""The MLflow experiment of a run: its name, and the experiment itself, made or restored where needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spark_ml_audit.tracking.destination import Destination

if TYPE_CHECKING:
    from mlflow import MlflowClient


def experiment_name(name: str, destination: Destination) -> str:
    """The name of an experiment as its store takes it.

    >>> experiment_name("label-audits", Destination("databricks"))
    '/Shared/label-audits'
    """
    # A Databricks workspace takes absolute paths only.
    if destination.scheme == "databricks" or destination.uri == "databricks":
        return name if name.startswith("/") else f"/Shared/{name}"
    return name


def ensure_experiment(client: MlflowClient, name: str, destination: Destination) -> tuple[str, str]:
    """The id of an experiment, and a sentence on what was done that a user may not expect, or nothing."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name, artifact_location=destination.artifact_location)), ""
        except MlflowException:
            # Another audit may have created it since.
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    note = ""
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
        note = f"tracking.experiment: the deleted MLflow experiment {name!r} was restored for this run."
    return str(found.experiment_id), note
