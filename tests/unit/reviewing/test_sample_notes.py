"""What a sample says beforehand of how much it will tell."""

from __future__ import annotations

import pytest

from spark_ml_audit.config.review import SampleSection
from spark_ml_audit.outcomes.review import StratumDrawn
from spark_ml_audit.reviewing.sample import _widths

FLAGGED = "flagged missing"
MANY = StratumDrawn(FLAGGED, 5999, 25)


@pytest.mark.parametrize(
    ("options", "stratum", "said"),
    [
        ({"how": "random", "size": 100}, MANY, "99 would halve it (sample.size=396"),
        ({"how": "random", "per_stratum": 25}, MANY, "(sample.per_stratum=99)"),
        ({"how": "random", "size": 9000}, StratumDrawn(FLAGGED, 10**6, 4500), "cells; 17"),
        ({"how": "random"}, StratumDrawn(FLAGGED, 40, 25), "all 40 would leave nothing to chance."),
        ({"how": "first-look"}, StratumDrawn("first 100 to add", 100, 15), "; 62 would halve it."),
    ],
)  # fmt: skip
def test_the_advice_fits_how_it_was_drawn(
    options: dict[str, object], stratum: StratumDrawn, said: str
) -> None:
    (sentence,) = _widths((stratum,), SampleSection(**options))
    assert said in sentence
    if options.get("size") == 9000:  # more than a sample may have
        assert "sample.size" not in sentence


def test_nothing_is_said_of_what_is_judged_whole_or_not_flagged() -> None:
    drawn = (StratumDrawn(FLAGGED, 20, 20), StratumDrawn("given, doubt over 50%", 500, 5))
    assert _widths(drawn, SampleSection(how="random")) == ()
