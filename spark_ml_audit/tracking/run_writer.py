"""Writes into one open MLflow run, in requests of the size servers take."""

from __future__ import annotations

import json
import posixpath
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from spark_ml_audit.text import printable
from spark_ml_audit.tracking import payload as pl
from spark_ml_audit.tracking.bounded import Patience, is_unreachable

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient

T = TypeVar("T")

_PARAMS_PER_REQUEST = 100
_TAGS_PER_REQUEST = 100
_METRICS_PER_REQUEST = 1000
# MLflow's own list of the tables among a run's artifacts.
_LOGGED_TABLES_TAG = "mlflow.loggedArtifacts"


class RunWriter:
    """One open run. A refused request is reported and the next goes on; a server that is gone ends it all.

    Args:
        client: Client of the store.
        mlflow_run_id: MLflow's id of the run.
        patience: Whether the audit still waits; asked before every request.
        report: Called with what was being done and the error, when the server refuses a request.
        known_tags: Tags of a run that an earlier process opened; empty for a new one.

    Attributes:
        mlflow_run_id: MLflow's id of the run.

    Every method raises `DeadlinePassedError` when the audit no longer waits, and the client's own error
    when the server cannot be reached.
    """

    def __init__(
        self,
        client: MlflowClient,
        mlflow_run_id: str,
        patience: Patience,
        report: Callable[[str, BaseException], None],
        known_tags: Mapping[str, str] | None = None,
    ) -> None:
        self._client = client
        self.mlflow_run_id = mlflow_run_id
        self._patience = patience
        self._report = report
        self._known_tags = known_tags or {}

    def params(self, params: Mapping[str, Any]) -> None:
        """Record the config as parameters."""
        from mlflow.entities import Param

        entities = [Param(name, value) for name, value in pl.clean_params(params).items()]
        for batch in _batches(entities, _PARAMS_PER_REQUEST):
            self._attempt("recording the config", self._client.log_batch, self.mlflow_run_id, params=batch)

    def metrics(self, metrics: Mapping[str, float]) -> None:
        """Record metrics."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        entities = [Metric(name, value, now, 0) for name, value in metrics.items()]
        for batch in _batches(entities, _METRICS_PER_REQUEST):
            self._attempt("recording the metrics", self._client.log_batch, self.mlflow_run_id, metrics=batch)

    def tags(self, tags: Mapping[str, str]) -> None:
        """Set tags of the run."""
        from mlflow.entities import RunTag

        entities = [RunTag(name, value) for name, value in tags.items()]
        for batch in _batches(entities, _TAGS_PER_REQUEST):
            self._attempt("recording the tags", self._client.log_batch, self.mlflow_run_id, tags=batch)

    def remove_tag(self, name: str) -> None:
        """Remove a tag that an earlier process set; one that is not there is no error."""
        if name in self._known_tags:
            self._attempt(f"removing the tag {name}", self._client.delete_tag, self.mlflow_run_id, name)

    def source(self, source: pl.SourceRef | None) -> None:
        """Record the audited table and its version as a dataset input."""
        if source is not None:
            self._attempt("recording the source", self._log_source, source)

    def table(self, path: str, table: pd.DataFrame) -> None:
        """Log a table that MLflow's pages show as one; `path` ends in `.json`."""
        self._attempt(f"sending the table {path}", self._log_table, path, table)

    def artifact(self, path: str, content: pl.Artifact) -> None:
        """Log a file under `path`, from text, bytes, a mapping (as JSON) or a local file."""
        self._attempt(f"sending the artifact {path}", self._log_artifact, path, content)

    def finish(self, status: str) -> None:
        """End the run as `FINISHED` or `FAILED`."""
        self._attempt("ending the run", self._client.set_terminated, self.mlflow_run_id, status=status)

    def _attempt(self, doing: str, call: Callable[..., object], *args: Any, **kwargs: Any) -> None:
        self._patience.check()
        try:
            call(*args, **kwargs)
        except Exception as error:
            self._patience.check()
            if is_unreachable(error):
                raise
            self._report(doing, error)

    def _log_source(self, source: pl.SourceRef) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag
        from mlflow.exceptions import MlflowException

        dataset = Dataset(**pl.dataset_fields(source))
        inputs = [DatasetInput(dataset, [InputTag("mlflow.data.context", "audit")])]
        try:
            self._client.log_inputs(self.mlflow_run_id, inputs)
        except MlflowException as error:
            if is_unreachable(error):
                raise
            # Two audits of one source that insert the same dataset at once: the second try finds it.
            self._client.log_inputs(self.mlflow_run_id, inputs)

    def _log_table(self, path: str, table: pd.DataFrame) -> None:
        plain = pl.plain_table(table)
        if not self._known_tags:
            self._client.log_table(self.mlflow_run_id, plain, path)
            return
        # log_table would add the rows to those that an earlier process sent; the rest is as there
        self._log_artifact(path, plain.to_json(orient="split", index=False, date_format="iso"))
        listed = json.loads(self._client.get_run(self.mlflow_run_id).data.tags.get(_LOGGED_TABLES_TAG, "[]"))
        entry = {"path": path, "type": "table"}
        if entry not in listed:
            self._client.set_tag(self.mlflow_run_id, _LOGGED_TABLES_TAG, json.dumps([*listed, entry]))

    def _log_artifact(self, path: str, content: pl.Artifact) -> None:
        folder, name = posixpath.split(path)
        with tempfile.TemporaryDirectory(prefix="spark-ml-audit-") as staging:
            file = Path(staging) / name
            if isinstance(content, Path):
                shutil.copyfile(content, file)
            elif isinstance(content, bytes):
                file.write_bytes(content)
            elif isinstance(content, str):
                file.write_text(printable(content), encoding="utf-8")
            else:
                file.write_text(json.dumps(content, indent=2, default=str), encoding="utf-8")
            self._client.log_artifact(self.mlflow_run_id, str(file), folder or None)


def _batches(items: list[T], size: int) -> list[list[T]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
