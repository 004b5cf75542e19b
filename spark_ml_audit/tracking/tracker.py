"""One MLflow run per audit, best effort: an audit never fails, and never waits long, because of MLflow."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spark_ml_audit.errors import reason_of
from spark_ml_audit.text import one_line
from spark_ml_audit.tracking import payload as pl
from spark_ml_audit.tracking.bounded import (
    DeadlinePassedError,
    Patience,
    first_cause,
    is_unreachable,
    load_mlflow,
    run_bounded,
    short_waits,
)
from spark_ml_audit.tracking.destination import Destination, missing_requirement, resolve_tracking_uri
from spark_ml_audit.tracking.experiments import ensure_experiment, experiment_name, find_run, is_complete
from spark_ml_audit.tracking.keys import clean_key
from spark_ml_audit.tracking.local_store import ensure_store, prepare_store
from spark_ml_audit.tracking.registry import ModelFolder, keep_model
from spark_ml_audit.tracking.run_writer import RunWriter

if TYPE_CHECKING:
    from mlflow import MlflowClient

#: Longest wait in seconds for a local store, which waits on nobody but makes its database first (4 s, more
#: on a busy machine).
LOCAL_BUDGET = 60.0
#: The same for a server.
_BUDGETS = {
    "open": 15.0,
    "resume": 15.0,
    "deliver": 30.0,
    "deliver_model": 300.0,
    "add_metrics": 15.0,
    "fail": 15.0,
}
#: Named by the error of an MLflow (3.17, for one) that refuses file stores unless this is set.
_FILE_STORE_SWITCH = "MLFLOW_ALLOW_FILE_STORE"


class AuditTracker:
    """Records one audit as one run in an MLflow tracking store.

    Every method returns instead of raising; what could not be recorded is in `problems`. Only the client
    of this store is used, never MLflow's process-wide settings or active run.

    Args:
        tracking_uri: `tracking.uri` of the config; None: see `resolve_tracking_uri`.
        experiment: Experiment name, created if missing.
        output_path: Folder or URI of the output; None for an output that is a schema.
        run_id: Id of the audit.
        package_version: Version of this package.
        params: The effective config, flat; values are shortened for the server.
        source: What is audited, if known yet; assign the attribute when the version is pinned.
        activity: First word of the MLflow run's name.
        destination: The store, where it is decided already; else `tracking_uri` and `output_path` decide.
        preload: Modules that `prefetch` imports too, for images to be drawn.

    Attributes:
        problems: Sentences, credentials removed, one per thing that was not recorded.
        notes: Sentences about things done that the user may not expect.
        mlflow_run_id: Id of the MLflow run once one was opened.
        is_dead: Whether the store stopped answering; every later call then does nothing at once.
    """

    def __init__(
        self,
        *,
        tracking_uri: str | None,
        experiment: str,
        output_path: str | None,
        run_id: str,
        package_version: str,
        params: Mapping[str, Any],
        source: pl.SourceRef | None = None,
        activity: str = "audit",
        destination: Destination | None = None,
        preload: Sequence[str] = (),
    ) -> None:
        self._preload = preload
        self.destination = destination or Destination(*resolve_tracking_uri(tracking_uri, output_path))
        self.run_id = run_id
        self.package_version = package_version
        self.params = dict(params)
        self.source = source
        self.problems: list[str] = []
        self.notes: list[str] = []
        self.mlflow_run_id: str | None = None
        self.is_dead = False
        self._activity = activity
        self._experiment = experiment_name(experiment, self.destination)
        self._client: MlflowClient | None = None
        self._prefetch: threading.Thread | None = None
        self._drawn: dict[str, bytes] = {}
        self._known_tags: Mapping[str, str] = {}
        self._known_params: Mapping[str, str] = {}

    # ---- the life of a run ------------------------------------------------------------------------

    def prefetch(self) -> None:
        """Import MLflow and prepare a local store in the background; returns at once.

        Both are pure waiting time of the audit otherwise (about 10 s cold) and need no result of Spark.
        Nothing is written to the output. Failures show when the run is opened.
        """
        if self._prefetch is None:
            self._prefetch = threading.Thread(
                target=self._warm_up, name="spark-ml-audit-tracking-prefetch", daemon=True
            )
            self._prefetch.start()

    def close(self) -> None:
        """Let go of what serves this tracker; nothing is recorded after it."""

    def open(self, opening: pl.RunOpening, *, budget_seconds: float | None = None) -> str | None:
        """Open the run and record parameters, counts, tags and the dataset input.

        Args:
            opening: What is known before the row in `runs` is written.
            budget_seconds: Longest wait; default 15 s for a server, 60 s for a local store.

        Returns:
            The MLflow run id; None when no run could be opened (the reason is in `problems`).
        """
        self._bounded(
            "opening the run",
            lambda patience: self._open(opening, patience),
            budget_seconds or self.longest_wait("open"),
        )
        return self.mlflow_run_id

    def resume(self, known: str | None, *, budget_seconds: float | None = None) -> bool:
        """Find the MLflow run of an audit that finished earlier, so that `open` and `deliver` complete it.

        Args:
            known: MLflow's id of the run, if one was recorded; else it is looked for by the audit's id.
            budget_seconds: Longest wait; default 15 s for a server, 60 s for a local store.

        Returns:
            Whether the run has all of the audit already; False too when the store does not answer.
        """
        found: list[bool] = []
        self._bounded(
            "looking for the run",
            lambda patience: found.append(self._resume(known, patience)),
            budget_seconds or self.longest_wait("resume"),
        )
        return found == [True]

    def draw(self, drawings: Mapping[str, Callable[[], bytes]]) -> None:
        """Draw images that `deliver` is to send.

        Args:
            drawings: Artifact path -> what gives the image; functions of modules, so that they may travel.
        """
        if self.is_dead or missing_requirement(self.destination) is not None:
            return
        path = ""
        try:
            for path, image in drawings.items():
                self._drawn[path] = image()
        except Exception as error:  # noqa: BLE001 - the run is committed; the reader learns what is missing
            self.problems.append(f"{path} could not be drawn: {reason_of(error)}.")

    def deliver(self, delivery: pl.RunDelivery, *, budget_seconds: float | None = None) -> bool:
        """Send stage times, class metrics, tables and artifacts, and mark the run finished.

        Args:
            delivery: What is known at the end; of bounded size.
            budget_seconds: Longest wait; default 30 s for a server, 60 s for a local store.

        Returns:
            Whether everything of this run, its opening included, was recorded.
        """
        if self.mlflow_run_id is not None:
            self._bounded(
                "sending the results",
                lambda patience: self._deliver(delivery, patience),
                budget_seconds or self.longest_wait("deliver"),
            )
        return self.mlflow_run_id is not None and not self.problems

    def deliver_model(
        self, folder: Path, digest: str, name: str | None, *, budget_seconds: float | None = None
    ) -> str | None:
        """Upload a model to the open run, and register it if it has a name; once per run and name.

        Args:
            folder: The model in MLflow's format.
            digest: SHA-256 of what loading it unpickles, recorded with run and version.
            name: Name in the registry; None to register nothing.
            budget_seconds: Longest wait; default 300 s.

        Returns:
            Address of the model, its version pinned; None when it was not kept (see `problems`).
        """
        found: list[str] = []
        if self.mlflow_run_id is not None:

            def work(patience: Patience) -> None:
                packed = ModelFolder(folder, digest, name, self.run_id)
                found.append(keep_model(self._connect(), self._writer(patience), packed, patience))

            self._bounded("sending the model", work, budget_seconds or self.longest_wait("deliver_model"))
        return found[-1] if found else None

    def add_metrics(
        self, mlflow_run_id: str, metrics: Mapping[str, float], *, budget_seconds: float | None = None
    ) -> bool:
        """Add metrics to a run that an earlier audit finished.

        Args:
            mlflow_run_id: The MLflow run.
            metrics: Names and values.
            budget_seconds: Longest wait; default 15 s for a server, 60 s for a local store.

        Returns:
            Whether all were recorded.
        """

        def work(patience: Patience) -> None:
            self.mlflow_run_id = mlflow_run_id
            self._writer(patience).metrics(metrics)

        self._bounded("adding metrics", work, budget_seconds or self.longest_wait("add_metrics"))
        return self.mlflow_run_id is not None and not self.problems

    def fail(self, reason: str, *, budget_seconds: float | None = None) -> None:
        """Mark the run failed, for an audit that failed; opens a run first when there is none.

        Args:
            reason: The error, in one sentence; kept in the tag `spark_ml_audit.failure`.
            budget_seconds: Longest wait; default 15 s for a server, 60 s for a local store.
        """
        self._bounded(
            "marking the run as failed",
            lambda patience: self._fail(reason, patience),
            budget_seconds or self.longest_wait("fail"),
        )

    # ---- bounds and failures ----------------------------------------------------------------------

    def longest_wait(self, verb: str) -> float:
        """Seconds that a method of this name waits for the store unless told otherwise."""
        return max(_BUDGETS[verb], LOCAL_BUDGET if self.destination.is_local else 0.0)

    @property
    def how_to_open(self) -> str | None:
        """What opens MLflow's pages of the run; None without a run."""
        return None if self.mlflow_run_id is None else self.destination.how_to_open

    def _warm_up(self) -> None:
        try:
            if missing_requirement(self.destination) is not None:
                return
            load_mlflow()
            with short_waits():
                file = self.destination.sqlite_file
                if file is not None and file.exists():
                    self._connect()
                elif file is not None:
                    prepare_store()
            for name in self._preload:
                importlib.import_module(name)
        except Exception:  # noqa: BLE001, S110 - the same failure is reported when the run is opened
            pass

    def _bounded(self, doing: str, work: Callable[[Patience], None], seconds: float) -> None:
        if self.is_dead:
            return
        if (missing := missing_requirement(self.destination)) is not None:
            self._give_up(missing)
            return
        if self._prefetch is not None:
            # It does what would be done here otherwise, and never touches a network.
            self._prefetch.join(timeout=LOCAL_BUDGET)
        try:
            load_mlflow()
        except Exception as error:  # noqa: BLE001 - tracking is best effort by contract
            self._give_up(f"MLflow cannot be imported, so the run is not recorded there: {self._said(error)}")
            return
        try:
            run_bounded(work, seconds)
        except DeadlinePassedError:
            self._give_up(
                f"MLflow at {self.destination.shown} did not answer within {seconds:.0f} s ({doing}); "
                f"nothing more is sent there."
            )
        except Exception as error:  # noqa: BLE001 - tracking is best effort by contract
            self._report(doing, error)

    def _give_up(self, sentence: str) -> None:
        self.is_dead = True
        self.problems.append(sentence)

    def _report(self, doing: str, error: BaseException) -> None:
        place = f"MLflow at {self.destination.shown}"
        if _FILE_STORE_SWITCH in str(error):
            self._give_up(
                f"tracking.uri: the MLflow installed here keeps no file store such as "
                f"{self.destination.shown} any more. Set it to a database such as sqlite:///mlflow.db, or "
                f"set the environment variable {_FILE_STORE_SWITCH}=true."
            )
        elif is_unreachable(error):
            self._give_up(f"{place} cannot be reached ({doing}): {self._said(first_cause(error))}")
        else:
            self.problems.append(f"{place} refused something ({doing}): {self._said(error)}")

    def _said(self, error: BaseException) -> str:
        # Redacted before it is cut, else half a secret could stay.
        return one_line(self.destination.redact(str(error) or type(error).__name__))

    # ---- what is sent (in the worker thread) ------------------------------------------------------

    def _connect(self) -> MlflowClient:
        import mlflow

        if self._client is None:
            if (file := self.destination.sqlite_file) is not None:
                ensure_store(file)
            self._client = mlflow.MlflowClient(tracking_uri=self.destination.uri)
        return self._client

    def _writer(self, patience: Patience) -> RunWriter:
        if self.mlflow_run_id is None:
            raise RuntimeError("no run was opened")
        return RunWriter(
            self._connect(), self.mlflow_run_id, patience, self._report, known_tags=self._known_tags
        )

    def _start(self, tags: Mapping[str, str], patience: Patience) -> RunWriter:
        client = self._connect()
        patience.check()
        experiment_id, note = ensure_experiment(client, self._experiment, self.destination)
        self.notes += [note] if note else []
        patience.check()
        run = client.create_run(experiment_id, run_name=f"{self._activity} {self.run_id}", tags=dict(tags))
        if patience.is_over:
            # The audit has gone on without this run: do not leave it running for ever.
            client.set_terminated(run.info.run_id, status="KILLED")
        patience.check()
        self.mlflow_run_id = str(run.info.run_id)
        return self._writer(patience)

    def _resume(self, known: str | None, patience: Patience) -> bool:
        run = find_run(self._connect(), known, self._experiment, self.run_id, patience)
        if run is None:
            return False
        self.mlflow_run_id = str(run.info.run_id)
        self._known_tags, self._known_params = dict(run.data.tags), dict(run.data.params)
        return is_complete(run)

    def _open(self, opening: pl.RunOpening, patience: Patience) -> None:
        tags = pl.identity_tags(self.run_id, self.package_version, self.source, self._activity)
        tags |= pl.status_tags("running", opening.warnings)
        if self.mlflow_run_id is None:
            writer = self._start(tags, patience)
        else:
            writer = self._writer(patience)
            writer.tags(tags)
        writer.tags(pl.table_tags(opening.tables) | pl.gate_tags(opening.gates) | pl.more_tags(opening.tags))
        # a parameter cannot be changed, and the retry has a run_id that the first try had not
        known = self._known_params.keys()
        writer.params({name: value for name, value in self.params.items() if clean_key(name) not in known})
        writer.metrics(pl.opening_metrics(opening))
        writer.source(self.source)

    def _deliver(self, delivery: pl.RunDelivery, patience: Patience) -> None:
        writer = self._writer(patience)
        writer.metrics(pl.delivery_metrics(delivery))
        for name, table in delivery.tables.items():
            writer.table(f"{name}.json", table)
        for path, content in {**delivery.artifacts, **self._drawn}.items():
            writer.artifact(path, content)
        status = "not_delivered" if self.problems and delivery.status == "ok" else delivery.status
        if not self.problems:
            writer.remove_tag(pl.NOT_RECORDED_TAG)
        note = pl.clean_tags({pl.NOTE_TAG: self.destination.redact(delivery.note)})
        writer.tags(note | pl.status_tags(status, delivery.warnings, not_recorded=self.problems))
        writer.finish("FINISHED")

    def _fail(self, reason: str, patience: Patience) -> None:
        tags = pl.status_tags("failed", failure=self.destination.redact(reason))
        if self.mlflow_run_id is None:
            identity = pl.identity_tags(self.run_id, self.package_version, self.source, self._activity)
            writer = self._start(identity | tags, patience)
            writer.params(self.params)
            writer.source(self.source)
        else:
            writer = self._writer(patience)
            writer.tags(tags)
        writer.finish("FAILED")
