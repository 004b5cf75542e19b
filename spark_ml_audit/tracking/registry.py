"""Models kept in MLflow: uploaded to a run, registered once per audit and name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spark_ml_audit.tracking.payload import MODEL_DIGEST_TAG, TAG_PREFIX

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from spark_ml_audit.tracking.bounded import Patience
    from spark_ml_audit.tracking.run_writer import RunWriter

_OWN_TAG = f"{TAG_PREFIX}run_id"


@dataclass(frozen=True)
class ModelFolder:
    """A model to keep.

    Attributes:
        folder: The model in MLflow's format.
        digest: SHA-256 of what loading it unpickles.
        name: Name in the registry; None to register nothing.
        run_id: Run of this package that made it.
    """

    folder: Path
    digest: str
    name: str | None
    run_id: str


def keep_model(client: MlflowClient, writer: RunWriter, model: ModelFolder, patience: Patience) -> str:
    """Upload a model to a run, and register it if it has a name.

    Returns:
        Address of the model, its version pinned.
    """
    mlflow_run_id = writer.mlflow_run_id
    client.log_artifacts(mlflow_run_id, str(model.folder), "model")
    writer.tags({MODEL_DIGEST_TAG: model.digest})
    if model.name is None:
        return f"runs:/{mlflow_run_id}/model"
    patience.check()
    _ensure_registered(client, model.name)
    patience.check()
    version = _known_version(client, model) or client.create_model_version(
        model.name,
        f"{client.get_run(mlflow_run_id).info.artifact_uri}/model",
        mlflow_run_id,
        tags={_OWN_TAG: model.run_id, MODEL_DIGEST_TAG: model.digest},
    )
    return f"models:/{model.name}/{version.version}"


def _ensure_registered(client: MlflowClient, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _known_version(client: MlflowClient, model: ModelFolder) -> Any:
    """The version that an earlier try of the same run registered."""
    known = client.search_model_versions(f"name='{model.name}'")
    return next((version for version in known if dict(version.tags).get(_OWN_TAG) == model.run_id), None)
