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
    lines = [f"Encoder: {for_terminal(encoder['encoder'])}{chosen}{said}"]
    finetuned = encoder.get("finetuned")
    return lines if finetuned is None else [*lines, _finetuned(finetuned)]


def _finetuned(found: Mapping[str, Any]) -> str:
    """What fine-tuning gave.

    >>> losses = {"log_loss_alone": 0.11, "log_loss_average": 0.105, "num_held_out": 1600}
    >>> _finetuned({"kept_by_fold": {"0": True, "1": False}, **losses}).partition(";")[0]
    'Fine-tuned: averaged in for 1 of 2 folds'
    """
    kept = found["kept_by_fold"]
    if not kept:
        return "Fine-tuned: not at all, there are too few rows"
    return (
        f"Fine-tuned: averaged in for {sum(kept.values())} of {len(kept)} folds; log loss on "
        f"{number(found['num_held_out'])} rows held out of training {found['log_loss_alone']:.4f} without, "
        f"{found['log_loss_average']:.4f} with it"
    )
