"""The MLflow experiment of a run: its name, the experiment, made or restored where needed, and runs in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spark_ml_audit.tracking.bounded import Patience
from spark_ml_audit.tracking.destination import Destination
from spark_ml_audit.tracking.payload import NOT_RECORDED_TAG, TAG_PREFIX

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


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


def find_run(
    client: MlflowClient, known: str | None, experiment: str, run_id: str, patience: Patience
) -> Run | None:
    """The MLflow run of an audit that finished earlier, a complete one first; None where there is none.

    Args:
        client: Client of the store.
        known: MLflow's id of the run, if one was recorded; else it is looked for by the audit's id.
        experiment: Name of the experiment.
        run_id: Id of the audit.
        patience: Asked between requests.

    Raises:
        MlflowException: The store refuses.
        DeadlinePassedError: Nobody waits any more.
    """
    from mlflow.exceptions import MlflowException

    runs: list[Run] = []
    try:
        runs = [client.get_run(known)] if known is not None else []
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
    patience.check()
    if not runs and (found := client.get_experiment_by_name(experiment)) is not None:
        patience.check()
        # the id is the contract's: digits, letters and a hyphen
        runs = list(client.search_runs([found.experiment_id], f"tags.`{TAG_PREFIX}run_id` = '{run_id}'"))
    # a failed try of the same id stays what it is
    standing = [run for run in runs if run.info.status != "FAILED"]
    return max(standing, key=is_complete, default=None)


def is_complete(run: Run) -> bool:
    """Whether a run has all of its audit."""
    return run.info.status == "FINISHED" and NOT_RECORDED_TAG not in run.data.tags
