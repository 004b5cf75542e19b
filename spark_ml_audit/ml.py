"""`LabelAuditor`: the audit as a pyspark.ml Estimator and Model, for Pipelines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark import keyword_only
from pyspark.ml import Estimator, Model
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable

from spark_ml_audit.arrow.layout import REASON_NAMES, InputLayout
from spark_ml_audit.config.audit import MethodConfig
from spark_ml_audit.config.source import ColumnsConfig
from spark_ml_audit.engines.choose import choose_engine, engine_for
from spark_ml_audit.engines.plain_strings import plain_strings
from spark_ml_audit.engines.session import session_for
from spark_ml_audit.errors import ConfigError, InputError
from spark_ml_audit.frames.fit import fit_audit
from spark_ml_audit.frames.ingest import inspect_source
from spark_ml_audit.frames.transform import ERROR, KEEP, SKIP, transform_frame
from spark_ml_audit.kernels.ambiguity import AmbiguityOptions
from spark_ml_audit.kernels.cutoffs import Cutoffs
from spark_ml_audit.kernels.profile import Thresholds
from spark_ml_audit.kernels.rules import AuditRules, Scoring
from spark_ml_audit.lake.schemas import class_table_frame
from spark_ml_audit.outcomes.calibrators import calibrators_of
from spark_ml_audit.outcomes.records import ClassRow
from spark_ml_audit.progress import Progress

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_METHOD_PARAMS = {
    "filterBy": "filter_by",
    "fracNoise": "frac_noise",
    "minExamplesPerClass": "min_examples_per_class",
    "score": "score",
    "adjustPredProbs": "adjust_pred_probs",
    "aggregate": "aggregate",
    "alpha": "alpha",
    "temperature": "temperature",
    "calibrate": "calibrate",
    "calibrateWith": "calibrate_with",
}


class _AuditorParams(Params):
    """Params of both; the model keeps those it was fitted with."""

    labelsCol = Param(Params._dummy(), "labelsCol", "column of the given tags", TypeConverters.toString)
    predProbsCol = Param(
        Params._dummy(), "predProbsCol", "column of the probabilities", TypeConverters.toString
    )
    handleInvalid = Param(
        Params._dummy(),
        "handleInvalid",
        "what becomes of a faulty row: error, keep (nulls) or skip",
        TypeConverters.toString,
    )

    def __init__(self) -> None:
        super().__init__()
        self._setDefault(labelsCol="labels", predProbsCol="pred_probs", handleInvalid=ERROR)

    def _handling(self) -> str:
        found: str = self.getOrDefault(self.handleInvalid)
        if found not in (ERROR, KEEP, SKIP):
            raise ConfigError(
                f"found '{found}'.", key="handleInvalid", fix=f"Use '{ERROR}', '{KEEP}' or '{SKIP}'."
            )
        return found


class LabelAuditor(
    Estimator["LabelAuditorModel"],
    _AuditorParams,
    DefaultParamsReadable["LabelAuditor"],
    DefaultParamsWritable,
):
    """Learns thresholds and cut-offs from a DataFrame; the model audits any DataFrame with them.

    Params: labelsCol, predProbsCol, classes, labelsFormat, predProbsFormat, handleInvalid (error, keep,
    skip), and filterBy, fracNoise, minExamplesPerClass, score, adjustPredProbs, aggregate, alpha,
    temperature, calibrate, calibrateWith with the meaning and defaults of the config's `audit` section; rows
    have no ids here, so that calibrate fits calibrators on all rows.

    Example:
        >>> from spark_ml_audit.ml import LabelAuditor
        >>> auditor = LabelAuditor(classes=["billing", "delivery", "login"])  # doctest: +SKIP
        >>> model = auditor.fit(df)  # doctest: +SKIP
        >>> model.transform(df).where("is_label_issue").count() > 0  # doctest: +SKIP
        True
    """

    classes = Param(Params._dummy(), "classes", "tag names in probability order", TypeConverters.toListString)
    labelsFormat = Param(Params._dummy(), "labelsFormat", "how tags are written", TypeConverters.toString)
    predProbsFormat = Param(
        Params._dummy(), "predProbsFormat", "how probabilities are written", TypeConverters.toString
    )
    filterBy = Param(Params._dummy(), "filterBy", "rule that flags cells", TypeConverters.toString)
    fracNoise = Param(Params._dummy(), "fracNoise", "share of the errors to flag", TypeConverters.toFloat)
    minExamplesPerClass = Param(
        Params._dummy(), "minExamplesPerClass", "rows a side must exceed to be pruned", TypeConverters.toInt
    )
    score = Param(Params._dummy(), "score", "score of a cell", TypeConverters.toString)
    adjustPredProbs = Param(
        Params._dummy(),
        "adjustPredProbs",
        "whether scores use adjusted probabilities",
        TypeConverters.toBoolean,
    )
    aggregate = Param(Params._dummy(), "aggregate", "how cell scores become a row's", TypeConverters.toString)
    alpha = Param(Params._dummy(), "alpha", "weight of the moving average", TypeConverters.toFloat)
    temperature = Param(Params._dummy(), "temperature", "of softmin", TypeConverters.toFloat)
    calibrate = Param(Params._dummy(), "calibrate", "off, auto or on", TypeConverters.toString)
    calibrateWith = Param(Params._dummy(), "calibrateWith", "platt or temperature", TypeConverters.toString)

    @keyword_only
    def __init__(
        self,
        *,
        labelsCol: str = "labels",
        predProbsCol: str = "pred_probs",
        classes: Sequence[str] | None = None,
        labelsFormat: str = "auto",
        predProbsFormat: str = "auto",
        handleInvalid: str = ERROR,
        filterBy: str | None = None,
        fracNoise: float | None = None,
        minExamplesPerClass: int | None = None,
        score: str | None = None,
        adjustPredProbs: bool | None = None,
        aggregate: str | None = None,
        alpha: float | None = None,
        temperature: float | None = None,
        calibrate: str | None = None,
        calibrateWith: str | None = None,
    ) -> None:
        super().__init__()
        self._setDefault(labelsFormat="auto", predProbsFormat="auto")
        kwargs = self._input_kwargs  # type: ignore[attr-defined] # set by keyword_only
        given = {name: value for name, value in kwargs.items() if value is not None}
        self._set(**given)

    def setParams(self, **params: Any) -> LabelAuditor:
        """Set params by name."""
        self._set(**params)
        return self

    def _fit(self, dataset: DataFrame) -> LabelAuditorModel:
        handling = self._handling()
        options = {
            name: self.getOrDefault(param) for param, name in _METHOD_PARAMS.items() if self.isSet(param)
        }
        method = MethodConfig.from_arguments(**options)
        columns = ColumnsConfig.from_arguments(
            labels=self.getOrDefault(self.labelsCol),
            pred_probs=self.getOrDefault(self.predProbsCol),
            labels_format=self.getOrDefault(self.labelsFormat),
            pred_probs_format=self.getOrDefault(self.predProbsFormat),
            classes=self.getOrDefault(self.classes) if self.isSet(self.classes) else None,
        )
        ingest = inspect_source(*engine_for(dataset), columns, with_id=False)
        fit = fit_audit(ingest, method, Progress(quiet=True), check_ids=False)
        if fit.rows.num_quarantined and handling == ERROR:
            reasons = ", ".join(
                f"{REASON_NAMES[code]} {count}"
                for code, count in sorted(fit.rows.by_code.items())
                if code in REASON_NAMES
            )
            raise InputError(
                f"{fit.rows.num_quarantined} of {fit.rows.num_rows} rows are faulty: {reasons}.",
                key="handleInvalid",
                fix="Mend them, or set handleInvalid to 'keep' or 'skip'.",
            )
        model = LabelAuditorModel()
        model._set(
            labelsCol=self.getOrDefault(self.labelsCol),
            predProbsCol=self.getOrDefault(self.predProbsCol),
            handleInvalid=handling,
            audit=_to_json(ingest.layout, fit.rules, fit.classes),
        )
        return model


class LabelAuditorModel(
    Model, _AuditorParams, DefaultParamsReadable["LabelAuditorModel"], DefaultParamsWritable
):
    """Audits rows with the cut-offs of a fitted `LabelAuditor`; keeps all input columns."""

    audit = Param(Params._dummy(), "audit", "the fitted audit as JSON", TypeConverters.toString)

    def setHandleInvalid(self, value: str) -> LabelAuditorModel:
        """Set what becomes of a faulty row: error, keep or skip."""
        self._set(handleInvalid=value)
        return self

    @property
    def class_rows(self) -> tuple[ClassRow, ...]:
        """The class table as records."""
        state = json.loads(self.getOrDefault(self.audit))
        return tuple(ClassRow.from_mapping(row) for row in state["classes"])

    @property
    def classes(self) -> DataFrame:
        """The class table: thresholds, joint, cut-offs, counts, noise."""
        engine = choose_engine(spark=session_for())
        classes: DataFrame = engine.native(class_table_frame(engine, self.class_rows))
        return classes

    def _transform(self, dataset: DataFrame) -> DataFrame:
        layout, rules = _from_json(self.getOrDefault(self.audit))
        columns = ColumnsConfig.from_arguments(
            labels=self.getOrDefault(self.labelsCol),
            pred_probs=self.getOrDefault(self.predProbsCol),
            labels_format=layout.labels_format,
            classes=list(layout.classes),
        )
        ingest = inspect_source(*engine_for(dataset), columns, with_id=False)
        found = ingest.layout
        if layout.calibrators is not None:
            # what is calibrated is float64, whatever it was
            ingest = ingest.calibrated(layout.calibrators)
        elif found.dtype != layout.dtype:
            raise InputError(
                f"column '{found.pred_probs[0]}' holds {found.dtype}, the model {layout.dtype}.",
                key="predProbsCol",
                fix="Cast the column to the type the model was fitted on; cut-offs are exact in it.",
            )
        audited = transform_frame(ingest, rules, self._handling())
        # once more: a carried vector keeps the types beside it as they are
        return plain_strings(ingest.engine.native(audited))


def _to_json(layout: InputLayout, rules: AuditRules, classes: Sequence[ClassRow]) -> str:
    # JSON numbers round-trip float64, and with it float32, exactly
    cutoffs = rules.cutoffs
    return json.dumps(
        {
            "labels_format": layout.labels_format,
            "dtype": layout.dtype,
            "thresholds": [rules.thresholds.present.tolist(), rules.thresholds.absent.tolist()],
            "cutoffs": [
                cutoffs.missing.astype(np.float64).tolist(),
                cutoffs.extraneous.astype(np.float64).tolist(),
            ],
            "score_at_most": cutoffs.score_at_most,
            "scoring": asdict(rules.scoring),
            "ambiguity": asdict(rules.ambiguity),
            "classes": [row.to_dict() for row in classes],
        }
    )


def _from_json(text: str) -> tuple[InputLayout, AuditRules]:
    state = json.loads(text)
    dtype = state["dtype"]
    present, absent = (np.array(values, dtype=np.float64) for values in state["thresholds"])
    missing, extraneous = (np.array(values, dtype=dtype) for values in state["cutoffs"])
    rules = AuditRules(
        Thresholds(present, absent),
        Cutoffs(dtype, missing, extraneous, state["score_at_most"]),
        Scoring(**state["scoring"]),
        # models saved by older versions have none
        AmbiguityOptions(**state.get("ambiguity", {})),
    )
    classes = tuple(map(ClassRow.from_mapping, state["classes"]))
    names = tuple(row.tag for row in classes)
    calibrators = calibrators_of(classes)
    layout = InputLayout(
        "", ("",), state["labels_format"], ",", ("",), "array", dtype, names, calibrators=calibrators
    )
    return layout, rules
