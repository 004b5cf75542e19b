"""Calibrators of an audit for new rows: by tag, or one temperature for every tag."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spark_ml_audit import audit
from spark_ml_audit.config.engine import EngineConfig
from spark_ml_audit.engines.choose import choose_engine
from spark_ml_audit.kernels.platt import expit
from spark_ml_audit.predicting.stored_calibration import stored_calibration


@pytest.mark.parametrize("kind", ["platt", "temperature"])
def test_tags_that_the_audit_did_not_know(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(400, 2)) * 2 - [0, 1]
    given = (rng.random(z.shape) < expit(z)).astype(np.int8)
    frame = pd.DataFrame({"id": [f"r{i}" for i in range(400)]})
    result = audit(
        frame, expit(3 * z), id="id", labels=given, classes=["sea", "war"], calibrate="on",
        calibrate_with=kind, engine="embedded",
    )  # fmt: skip
    result.write(str(tmp_path / "out"))
    engine = choose_engine(EngineConfig(kind="embedded"), None)
    found = stored_calibration(engine, str(tmp_path / "out"), None, ["war", "new", "sea"]).calibrators
    assert found is not None
    probs = np.array([[0.2, 0.9, 0.6]])
    applied = found.apply(probs)[0]
    if kind == "temperature":
        assert found.calibrated.tolist() == [True, True, True]
        assert len(set(found.slope.tolist())) == 1
        assert 0.6 < applied[1] < 0.8
    else:
        assert found.calibrated.tolist() == [True, False, True]
        assert found.slope[0] != found.slope[2]
        assert applied[1] == 0.9
