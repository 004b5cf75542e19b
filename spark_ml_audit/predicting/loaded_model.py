"""Models of MLflow loaded, with consent, and applied."""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import tempfile
import threading
import warnings as python_warnings
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from spark_ml_audit.errors import InputError, reason_of
from spark_ml_audit.models.bundle import TagModel
from spark_ml_audit.models.scorers import Probabilities, Scorer, check_width
from spark_ml_audit.predicting.model_store import (
    MODEL_FILE,
    SHIFT_FILE,
    TaggingRule,
    digest_of,
    nullable,
    read_rule,
    read_scorer,
)
from spark_ml_audit.tracking.bounded import DeadlinePassedError, load_mlflow, run_bounded, short_waits
from spark_ml_audit.tracking.destination import Destination, missing_requirement
from spark_ml_audit.tracking.payload import MODEL_DIGEST_TAG

_LOAD_SECONDS = 300.0
_ENCODED_ON_TRIAL = 20


# A zipped foreign model travels to every task.
_MAX_FOREIGN_BYTES = 1 << 30


@dataclass(frozen=True)
class LoadedModel:
    """A model to apply.

    Attributes:
        uri: Its address with the version pinned.
        scorer: Predicts.
        columns: Columns of its input; None: unknown.
        model: The model, if it is one of this package.
        rule: What its thresholds are chosen by; None where it carries nothing to choose from.
    """

    uri: str
    scorer: Scorer
    columns: tuple[str, ...] | None
    model: TagModel | None
    rule: TaggingRule | None = None

    def output_names(self, sample: pd.DataFrame) -> tuple[str, ...]:
        """Names of a foreign model's output columns: its classes.

        Raises:
            InputError: Its output has no column names.
        """
        found = _foreign_prediction(self.scorer, sample)
        if not isinstance(found, pd.DataFrame) or not all(isinstance(name, str) for name in found.columns):
            raise InputError(
                f"the model at {self.uri} does not name the tags it predicts.",
                key="model.uri",
                fix="Name a model of `predict --fit-final`, or one that returns a DataFrame with a column "
                "per tag.",
            )
        return tuple(found.columns)

    def try_on(self, sample: pd.DataFrame, classes: Sequence[str]) -> LoadedModel:
        """This model for these classes, tried on some rows so that a misfit shows before any job.

        Raises:
            InputError: It fails, or returns another number of probabilities.
        """
        scorer = self.scorer
        if self.model is not None:
            known = {name: k for k, name in enumerate(self.model.classes)}
            unknown = [name for name in classes if name not in known]
            if unknown or len(known) != len(classes):
                found = f"'{unknown[0]}' is not among them" if unknown else f"{len(classes)} are asked for"
                raise InputError(
                    f"the model at {self.uri} predicts {len(known)} classes, and {found}.",
                    key="model.uri",
                    fix="Leave source.classes out to take the model's, or name a model of these classes.",
                )
            if tuple(classes) != self.model.classes:
                scorer = Reordered(scorer, tuple(known[name] for name in classes))
        else:
            scorer = (
                Foreign(scorer.archive, self.uri, tuple(classes)) if isinstance(scorer, Foreign) else scorer
            )
        # to encode a thousand texts takes a minute
        encodes = self.model is not None and self.model.encoding is not None
        try:
            scorer.predict(sample.head(_ENCODED_ON_TRIAL) if encodes else sample)
        except InputError:
            raise
        except Exception as error:
            raise InputError(
                f"the model at {self.uri} fails on rows of the source: {reason_of(error)}.",
                key="model.uri",
                fix="Give it the columns and types it was trained on.",
            ) from error
        return replace(self, scorer=scorer)


@dataclass(frozen=True)
class Reordered:
    """A scorer whose classes are put in another order."""

    scorer: Scorer
    positions: tuple[int, ...]

    def predict(self, frame: pd.DataFrame) -> Probabilities:
        """Probabilities of shape (n, K)."""
        return np.ascontiguousarray(self.scorer.predict(frame)[:, list(self.positions)])


@dataclass(frozen=True)
class Foreign:
    """An MLflow model of any flavour, as the zipped folder it is loaded from in each process.

    Attributes:
        archive: The zipped folder.
        uri: Its address, for messages.
        classes: Classes its output must have.
    """

    archive: bytes
    uri: str
    classes: tuple[str, ...]

    @cached_property
    def digest(self) -> str:
        """Name of the model among those a process has open."""
        return hashlib.sha256(self.archive).hexdigest()

    def predict(self, frame: pd.DataFrame) -> Probabilities:
        """Probabilities of shape (n, K)."""
        return check_width(_foreign_prediction(self, frame), len(frame), self.classes, self.uri)


_foreign_models: dict[str, Any] = {}
# whether somebody else's model may be loaded or called by two threads at once, nobody knows
_one_at_a_time = threading.Lock()


def _foreign_prediction(scorer: Scorer, frame: pd.DataFrame) -> Any:
    if not isinstance(scorer, Foreign):
        raise TypeError(f"{type(scorer).__name__} is no foreign model")
    with _one_at_a_time:
        if scorer.digest not in _foreign_models:
            _foreign_models[scorer.digest] = _unpack(scorer.archive)
        return _foreign_models[scorer.digest].predict(nullable(frame))


def _unpack(archive: bytes) -> Any:
    load_mlflow()
    import mlflow.pyfunc

    folder = Path(tempfile.mkdtemp(prefix="spark-ml-audit-"))
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as packed:
            packed.extractall(folder)
        with short_waits(), python_warnings.catch_warnings():
            python_warnings.simplefilter("ignore")
            return mlflow.pyfunc.load_model(str(folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def load_model(uri: str, destination: Destination, *, allow_pickle: bool) -> LoadedModel:
    """Load a model by its MLflow address.

    Without consent only those are loaded that this package logged to this tracking store: the run or
    version carries their digest, and what is unpickled is compared with it first.

    Args:
        uri: ``models:/name/version``, ``models:/name@alias``, ``runs:/id/path``, or the folder of a model.
        destination: The tracking store, and its registry.
        allow_pickle: Consent to run the code in a model from anywhere else.

    Raises:
        InputError: It does not load, or needs consent.
    """
    if (missing := missing_requirement(destination)) is not None:
        raise InputError(missing, key="model.uri", fix="Models are read through MLflow.")
    staging = Path(tempfile.mkdtemp(prefix="spark-ml-audit-"))
    try:
        try:
            found = run_bounded(lambda patience: _fetch(uri, destination, staging), _LOAD_SECONDS)
        except InputError:
            raise
        except DeadlinePassedError as error:
            raise _not_loading(uri, f"no answer within {_LOAD_SECONDS:.0f} s") from error
        except Exception as error:
            raise _not_loading(uri, destination.redact(reason_of(error))) from error
        pinned, folder, digest = found
        return _open(pinned, folder, digest, allow_pickle=allow_pickle)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _not_loading(uri: str, reason: str) -> InputError:
    return InputError(
        f"the model at '{uri}' does not load: {reason}.",
        key="model.uri",
        fix="Check the address, the tracking.uri it is kept at, and that its packages are installed.",
    )


def _fetch(uri: str, destination: Destination, staging: Path) -> tuple[str, Path, str | None]:
    """Pinned address, folder and recorded digest of a model."""
    load_mlflow()
    import mlflow
    import mlflow.artifacts

    if (file := destination.sqlite_file) is not None and not file.exists() and ":/" in uri:
        raise InputError(
            f"the model at '{uri}' does not load: there is no tracking store {destination.shown}.",
            key="model.uri",
            fix="Set tracking.uri to the store the model was logged to.",
        )
    client = mlflow.MlflowClient(tracking_uri=destination.uri)
    digest: str | None = None
    if match := re.fullmatch(r"models:/(?!m-)([^/@]+)(?:/([^/]+)|@([^/]+))?", uri):
        version = _version(client, *match.groups())
        source = client.get_model_version_download_uri(version.name, version.version)
        if source.startswith("models:/"):
            source = version.source
        digest = _recorded(client, version.tags, version.run_id)
        pinned = f"models:/{version.name}/{version.version}"
    elif match := re.fullmatch(r"runs:/([^/]+)/(.+)", uri):
        run = client.get_run(match[1])
        source, pinned = f"{run.info.artifact_uri.rstrip('/')}/{match[2]}", uri
        digest = run.data.tags.get(MODEL_DIGEST_TAG)
    else:
        source, pinned = uri, uri
    if ":/" not in source:
        return pinned, Path(source), digest
    local = mlflow.artifacts.download_artifacts(
        artifact_uri=source, dst_path=str(staging), tracking_uri=destination.uri
    )
    return pinned, Path(local), digest


def _version(client: Any, name: str, version: str | None, alias: str | None) -> Any:
    if alias is not None:
        return client.get_model_version_by_alias(name, alias)
    if version is not None and version != "latest":
        return client.get_model_version(name, version)
    versions = client.search_model_versions(f"name='{name}'")
    if not versions:
        raise InputError(
            f"the registry holds no model '{name}'.",
            key="model.uri",
            fix="Check the name and tracking.uri; `predict --fit-final` with model.name registers one.",
        )
    return max(versions, key=lambda found: int(found.version))


def _recorded(client: Any, tags: dict[str, str], run_id: str | None) -> str | None:
    if found := tags.get(MODEL_DIGEST_TAG):
        return found
    digest: str | None = client.get_run(run_id).data.tags.get(MODEL_DIGEST_TAG) if run_id else None
    return digest


def _open(uri: str, folder: Path, digest: str | None, *, allow_pickle: bool) -> LoadedModel:
    if not (folder / "MLmodel").is_file():
        raise _not_loading(uri, "there is no MLmodel file")
    own = folder / "artifacts"
    own = next((found.parent for found in sorted(own.rglob(MODEL_FILE))), own)
    is_own = (own / MODEL_FILE).is_file() and (own / SHIFT_FILE).is_file()
    if not allow_pickle and not (is_own and digest is not None and digest_of(own) == digest):
        why = (
            "its files are not those that were logged"
            if is_own and digest is not None
            else "this package did not log it to this tracking store"
        )
        raise InputError(
            f"loading the model at '{uri}' runs the code in it, and {why}.",
            key="model.allow_pickle",
            fix="Set model.allow_pickle: true if you trust where it comes from.",
        )
    if is_own:
        scorer = read_scorer(own)
        try:
            rule = read_rule(own)
        except ValueError as error:
            raise _not_loading(uri, reason_of(error)) from error
        return LoadedModel(uri, scorer, scorer.model.spec.columns, scorer.model, rule)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))
    if packed.tell() > _MAX_FOREIGN_BYTES:
        raise _not_loading(uri, "it is larger than 1 GB, more than travels to tasks")
    foreign = Foreign(packed.getvalue(), uri, ())
    try:
        model = _foreign_models[foreign.digest] = _unpack(foreign.archive)
    except Exception as error:
        raise _not_loading(uri, reason_of(error)) from error
    schema = model.metadata.get_input_schema()
    names = schema.input_names() if schema is not None and schema.has_input_names() else None
    return LoadedModel(uri, foreign, None if names is None else tuple(names), None)
