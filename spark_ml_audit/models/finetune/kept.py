"""Weights that killed runs leave behind: a retry trains only what is missing."""

from __future__ import annotations

import contextlib
import hashlib
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spark_ml_audit.models.design import BoolArray
from spark_ml_audit.models.finetune.files import renamed_into_place
from spark_ml_audit.models.finetune.settings import FineTuning
from spark_ml_audit.models.finetune.split import SplitEncoder
from spark_ml_audit.models.finetune.states import Tokens, key_of
from spark_ml_audit.models.finetune.train import uses_bfloat16
from spark_ml_audit.models.finetune.tuned import TunedTags

_RECIPE = 1  # raised when the same rows and settings would give other weights


def fold_key(
    split: SplitEncoder, tuning: FineTuning, tokens: Sequence[Tokens], given: BoolArray, seed: int
) -> str:
    """Name of what is trained: a hash of rows, tags, encoder, settings and versions.

    By the rows themselves and not by the run's config alone: a source without versions may have changed.

    Args:
        split: The encoder.
        tuning: How it is trained.
        tokens: Of each training row, in their stable order.
        given: Their tags, shape (n, K).
        seed: Seed of the training.
    """
    import torch

    said = (
        _RECIPE, split.identity, split.num_trained, split.max_tokens, tuning.training, seed, given.shape,
        torch.__version__, str(split.device.type), uses_bfloat16(split.device),
    )  # fmt: skip
    found = hashlib.sha256(repr(said).encode())
    found.update(np.packbits(given).tobytes())
    for row in tokens:
        found.update(key_of(row))
    return found.hexdigest()[:32]


def load_kept(folder: Path, key: str, split: SplitEncoder) -> TunedTags | None:
    """The weights under a name; None where there are none that can be read."""
    with contextlib.suppress(OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError):
        with np.load(
            folder / f"{key}.npz", allow_pickle=False
        ) as held:  # never a pickle: others may write there
            arrays: dict[str, Any] = {name: held[name] for name in held.files}
        return TunedTags.from_arrays(split, arrays)
    return None


def keep(folder: Path, key: str, tuned: TunedTags) -> None:
    """Write weights under a name, whole or not at all; a folder that cannot be written to keeps nothing."""
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        with renamed_into_place(folder / f"{key}.npz") as part, part.open("wb") as file:
            arrays: dict[str, Any] = tuned.to_arrays()
            np.savez(file, **arrays)
