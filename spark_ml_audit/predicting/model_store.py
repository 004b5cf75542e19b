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
from spark_ml_audit.kernels import tagging
from spark_ml_audit.kernels.tagging import TaggingEvidence, choose_thresholds
from spark_ml_audit.models.bundle import TagModel
from spark_ml_audit.models.encoders.choose import PACKAGES, is_function
from spark_ml_audit.models.scorers import TagScorer
from spark_ml_audit.outcomes.tagging import Tagging
from spark_ml_audit.predicting.tagging import tagging_of
from spark_ml_audit.tracking.bounded import load_mlflow, short_waits

MODEL_FILE, SHIFT_FILE = "tags.model", "tags.json"
_ARTIFACT = "tagger"
_EXAMPLE_ROWS = 5
# In what MLflow shows of a model; all are in its files.
_MAX_LISTED = 100


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


@dataclass(frozen=True)
class TaggingRule:
    """What a model carries so that its thresholds can be defended, and chosen again.

    Attributes:
        min_precision: What `predict` was told.
        evidence: Counts out of fold to choose from.
    """

    min_precision: float
    evidence: TaggingEvidence

    def to_mapping(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {"min_precision": self.min_precision, "evidence": self.evidence.to_mapping()}

    @classmethod
    def from_mapping(cls, values: Any) -> TaggingRule | None:
        """What `to_mapping` gave; None for None.

        Raises:
            ValueError: It is something else.
        """
        if values is None:
            return None
        try:
            return cls(float(values["min_precision"]), TaggingEvidence.from_mapping(values["evidence"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"no rule for tags: {error!r}") from error


def pack_model(scorer: TagScorer, rule: TaggingRule, sample: pd.DataFrame, folder: Path) -> PackedModel:
    """Write a model as an MLflow `python_function` with signature and input example.

    Args:
        scorer: The final model.
        rule: What its decision thresholds are chosen by.
        sample: Some rows of its features.
        folder: Where to; must not exist.
    """
    load_mlflow()
    import mlflow.pyfunc
    from mlflow.models import infer_signature
    from mlflow.types import ColSpec, Schema

    choice = choose_thresholds(rule.evidence, rule.min_precision)
    model = scorer.model.with_thresholds(choice.threshold.astype(np.float32))
    stored = TagScorer(model.to_bytes(), scorer.shift)
    example = sample.head(_EXAMPLE_ROWS).reset_index(drop=True)
    with (
        short_waits(),
        tempfile.TemporaryDirectory(prefix="spark-ml-audit-") as staging,
        python_warnings.catch_warnings(),
    ):
        python_warnings.simplefilter("ignore")  # remarks on integer columns and type hints
        digest = _write_scorer(stored, rule, Path(staging))
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
                *_versions("scikit-learn", "numpy", "pandas", *_of_encoder(model)),
            ],
            metadata={"spark_ml_audit": about_model(tagging_of(model.classes, rule.evidence, choice))},
        )
    return PackedModel(folder, digest)


def about_model(said: Tagging) -> dict[str, Any]:
    """What MLflow shows of a model's tags: bounded, whatever the number of classes.

    Args:
        said: What defends the tags.
    """
    return {
        "version": __version__,
        "num_classes": said.num_classes_given + said.num_classes_not_given,
        "min_precision": said.min_precision,
        "confidence": said.confidence,
        "least_rows_with_tag": tagging.MIN_GIVEN,
        "num_classes_given": said.num_classes_given,
        "num_classes_not_given": said.num_classes_not_given,
        "expected_tags_per_row": said.expected_tags_per_row,
        "not_tagged": [f"{item.tag}: {item.why}" for item in said.not_tagged[:_MAX_LISTED]],
    }


def nullable(frame: pd.DataFrame) -> pd.DataFrame:
    """Numbers and embeddings as doubles, which JSON holds and may miss; dates as MLflow's times."""
    plain = frame.copy()
    for name in plain.columns:
        values = plain[name]
        if values.dtype.kind in "iuf":
            plain[name] = values.astype("float64")
        elif any(isinstance(value, np.ndarray) for value in values):
            lists = [None if value is None else _plain_list(value) for value in values]
            plain[name] = pd.Series(lists, index=plain.index, dtype=object)
        elif values.dtype.kind == "O" and len(values) and hasattr(values.iloc[0], "toordinal"):
            plain[name] = pd.to_datetime(values)
    return plain


def _of_encoder(model: TagModel) -> tuple[str, ...]:
    """Packages that the model's encoder needs."""
    if model.encoding is None or is_function(model.encoding.encoder.value):
        return ()
    return PACKAGES


def _plain_list(value: Any) -> Any:
    """An embedding as doubles, an array of texts as a list."""
    values = np.asarray(value)
    return values.tolist() if values.dtype.kind in "OU" else values.astype(np.float64)


def _versions(*names: str) -> list[str]:
    from importlib.metadata import version

    return [f"{name}=={version(name)}" for name in names]


def _write_scorer(scorer: TagScorer, rule: TaggingRule, folder: Path) -> str:
    shift = None if scorer.shift is None else scorer.shift.tolist()
    (folder / MODEL_FILE).write_bytes(scorer.payload)
    said = {"shift": shift, "tagging": rule.to_mapping()}
    (folder / SHIFT_FILE).write_text(json.dumps(said), encoding="utf-8")
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


def read_rule(folder: Path) -> TaggingRule | None:
    """The rule that `pack_model` wrote; None for a model of an older version, which has none.

    Raises:
        ValueError: It is there and cannot be read.
    """
    return TaggingRule.from_mapping(
        json.loads((folder / SHIFT_FILE).read_text(encoding="utf-8")).get("tagging")
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
