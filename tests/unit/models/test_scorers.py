"""What becomes of a model's output: widths, ranges, a prevalence taken back."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from spark_ml_audit.errors import InputError
from spark_ml_audit.models.scorers import check_width, shift_log_odds


def test_taking_a_prevalence_back_is_bayes_rule() -> None:
    # likelihood ratio 4 under a prior of 1/2, then under one of 1/10
    probs = np.array([[0.8, 0.0], [0.8, 1.0]], dtype=np.float32)
    shifted = shift_log_odds(probs, np.array([np.log(1 / 9), 3.0]))
    assert shifted.dtype == np.float32
    assert shifted[0, 0] == pytest.approx(4 / 13)
    assert shifted[:, 1].tolist() == [0.0, 1.0]
    assert shift_log_odds(probs, None) is probs


def test_outputs_of_any_shape_become_probabilities_or_an_error() -> None:
    frame = pd.DataFrame({"b": [0.1, 0.2], "a": [0.9, 0.8]})
    assert check_width(frame, 2, ("a", "b"), "m").tolist() == np.float32([[0.9, 0.1], [0.8, 0.2]]).tolist()
    lists = pd.DataFrame({"out": [[0.1, 0.2], [0.3, 0.4]]})
    assert check_width(lists, 2, ("a", "b"), "m").shape == (2, 2)
    for wrong in (
        np.zeros((2, 3)),
        np.zeros(2),
        np.zeros((3, 2)),
        np.full((2, 2), 1.5),
        np.full((2, 2), np.nan),
    ):
        with pytest.raises(InputError) as caught:
            check_width(wrong, 2, ("a", "b"), "models:/m/1")
        assert caught.value.key == "model.uri"
