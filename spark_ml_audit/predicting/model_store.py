"""Models kept in MLflow: logged and registered with what applying them needs, and loaded with consent."""

from __future__ import annotations

import hashlib
import json
import tempfile
import warnings as python_warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from spark_ml_audit._version import __version__
from spark_ml_audit.models.scorers import TagScorer
from spark_ml_audit.tracking.bounded import load_mlflow, short_waits

MODEL_FILE, SHIFT_FILE = "tags.model", "tags.json"
_ARTIFACT = "tagger"
_EXAMPLE_ROWS = 5


# ---- storing ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PackedModel:
    """A final model as MLflow's folder.

    Attributes:
        folder: The folder, in MLflow's model format.
        digest: SHA-256 of what is unpickled on loading; recorded as a tag, compared before loading.
    """

    folder: Path
    digest: str


def pack_model(scorer: TagScorer, thresholds: Any, sample: pd.DataFrame, folder: Path) -> PackedModel:
    """Write a model as an MLflow `python_function` with signature and input example.

    Args:
        scorer: The final model.
        thresholds: Decision thresholds found out of fold, shape (K,).
        sample: Some rows of its features.
        folder: Where to; must not exist.
    """
    load_mlflow()
    import mlflow.pyfunc
    from mlflow.models import infer_signature
    from mlflow.types import ColSpec, Schema

    model = scorer.model.with_thresholds(thresholds)
    stored = TagScorer(model.to_bytes(), scorer.shift)
    example = sample.head(_EXAMPLE_ROWS).reset_index(drop=True)
    with (
        short_waits(),
        tempfile.TemporaryDirectory(prefix="spark-ml-audit-") as staging,
        python_warnings.catch_warnings(),
    ):
        python_warnings.simplefilter("ignore")  # remarks on integer columns and type hints
        digest = _write_scorer(stored, Path(staging))
        signature = infer_signature(nullable(example), stored.predict(example))
        # any feature may be null, whatever these few rows hold
        signature.inputs = Schema(
            [ColSpec(column.type, column.name, required=False) for column in signature.inputs.inputs]
        )
        mlflow.pyfunc.save_model(
            str(folder),
            python_model=_python_model(),
            artifacts={_ARTIFACT: staging},
            signature=signature,
            input_example=nullable(example),
            pip_requirements=[
                f"spark-ml-audit=={__version__}",
                *_versions("scikit-learn", "numpy", "pandas"),
            ],
            metadata={"spark_ml_audit": {"version": __version__, "num_classes": len(model.classes)}},
        )
    return PackedModel(folder, digest)


def nullable(frame: pd.DataFrame) -> pd.DataFrame:
    """Numbers and embeddings as doubles, which JSON holds and may miss; dates as MLflow's times."""
    plain = frame.copy()
    for name in plain.columns:
        values = plain[name]
        if values.dtype.kind in "iuf":
            plain[name] = values.astype("float64")
        elif any(isinstance(value, np.ndarray) for value in values):
            doubles = [None if value is None else np.asarray(value, np.float64) for value in values]
            plain[name] = pd.Series(doubles, index=plain.index, dtype=object)
        elif values.dtype.kind == "O" and len(values) and hasattr(values.iloc[0], "toordinal"):
            plain[name] = pd.to_datetime(values)
    return plain


def _versions(*names: str) -> list[str]:
    from importlib.metadata import version

    return [f"{name}=={version(name)}" for name in names]


def _write_scorer(scorer: TagScorer, folder: Path) -> str:
    shift = None if scorer.shift is None else scorer.shift.tolist()
    (folder / MODEL_FILE).write_bytes(scorer.payload)
    (folder / SHIFT_FILE).write_text(json.dumps({"shift": shift}), encoding="utf-8")
    return digest_of(folder)


def digest_of(folder: Path) -> str:
    """SHA-256 of what loading a model of this package unpickles."""
    found = hashlib.sha256()
    for name in (MODEL_FILE, SHIFT_FILE):
        found.update((folder / name).read_bytes())
    return found.hexdigest()


def read_scorer(folder: Path) -> TagScorer:
    """The scorer that `pack_model` wrote; opens nothing yet."""
    shift = json.loads((folder / SHIFT_FILE).read_text(encoding="utf-8"))["shift"]
    return TagScorer(
        (folder / MODEL_FILE).read_bytes(), None if shift is None else np.array(shift, dtype=np.float64)
    )


def _python_model() -> Any:
    from mlflow.pyfunc import PythonModel

    class TagPredictor(PythonModel):  # type: ignore[misc] # MLflow is untyped here
        """Serves a model elsewhere; this package reads the artifact itself."""

        def load_context(self, context: Any) -> None:
            from spark_ml_audit.predicting.model_store import scorer_of_artifact

            self.scorer = scorer_of_artifact(context.artifacts["tagger"])

        # MLflow takes hints for a schema; the signature says it better
        def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
            return self.scorer.predict(model_input)

    return TagPredictor()


def scorer_of_artifact(folder: str) -> TagScorer:
    """The scorer in a downloaded artifact; for the served model, whose loading was consented to."""
    return read_scorer(Path(folder))
