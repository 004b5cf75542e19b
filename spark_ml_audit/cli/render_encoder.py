"""The encoder of a prediction, as plain text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from spark_ml_audit.text import for_terminal, number


def render_encoder(encoder: Mapping[str, Any] | None) -> list[str]:
    """Lines on the vectors that models read; none without an encoder.

    >>> found = {"encoder": "minilm", "layer_of_fold": {"0": 4, "1": 4}, "layers": [3, 4], "num_texts": 90}
    >>> render_encoder({**found, "num_texts_cut": 2})
    ['Encoder: minilm, layer 4 of 3, 4; 2 of 90 texts are longer than what it reads']
    """
    if encoder is None:
        return []
    counts = Counter(encoder["layer_of_fold"].values())
    tried = ", ".join(str(layer) for layer in encoder["layers"])
    if len(encoder["layers"]) == 1:
        chosen = ""
    elif len(counts) == 1:
        chosen = f", layer {next(iter(counts))} of {tried}"
    else:
        each = ", ".join(f"{layer} for {count} folds" for layer, count in sorted(counts.items()))
        chosen = f", layers {each} of {tried}"
    cut = encoder["num_texts_cut"]
    said = (
        f"; {number(cut)} of {number(encoder['num_texts'])} texts are longer than what it reads"
        if cut
        else ""
    )
    return [f"Encoder: {for_terminal(encoder['encoder'])}{chosen}{said}"]
