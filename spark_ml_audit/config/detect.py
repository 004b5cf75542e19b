"""The `detect` section: what an audit looks for beside wrong tags."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from spark_ml_audit.config.base import Section
from spark_ml_audit.config.fields import MAX_COUNT


class AmbiguousConfig(Section):
    """When the model's doubt makes a cell or row ambiguous (see `kernels.ambiguity`).

    Attributes:
        doubt: Least doubt of an ambiguous cell: 1 is the middle between the class's two thresholds, 0
            either of them.
        min_tags: Ambiguous cells from which a row is ambiguous.
    """

    doubt: Annotated[float, Field(gt=0, le=1, description="a number above 0, at most 1")] = 0.8
    min_tags: Annotated[int, Field(ge=1, le=MAX_COUNT, description="a whole number of 1 or more")] = 2


class DetectConfig(Section):
    """What is looked for beside wrong tags.

    Attributes:
        ambiguous: Rows on which the model is undecided; always looked for.
    """

    ambiguous: AmbiguousConfig = AmbiguousConfig()
