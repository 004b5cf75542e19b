"""A trained upper half: what travels of it, and how it is applied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spark_ml_audit.errors import InputError
from spark_ml_audit.models.design import Float32Array, Float64Array
from spark_ml_audit.models.encoders.base import KEY
from spark_ml_audit.models.finetune.split import SplitEncoder, States, open_split
from spark_ml_audit.models.finetune.train import Weights, padded
from spark_ml_audit.models.torch_state import full_precision, one_thread

_CHUNK = 512


@dataclass(frozen=True, eq=False)
class TunedTags:
    """Trained layers and outputs for K tags; the layers below come from the encoder when it is applied.

    Attributes:
        encoder: Folder or hub name of the encoder.
        identity: Hash of its files; another encoder of that name is refused.
        num_trained: Layers that were trained.
        max_tokens: Tokens of a text that are read.
        weights: Those of the layers by name, float16.
        outputs: Shape (K, width).
        offsets: Shape (K,).
    """

    encoder: str
    identity: str
    num_trained: int
    max_tokens: int
    weights: Weights
    outputs: Float32Array
    offsets: Float32Array

    def logits(self, texts: Sequence[str]) -> Float64Array:
        """Log-odds of shape (n, K); a text's do not depend on the texts beside it."""
        split = self._split
        found = np.empty((len(texts), len(self.offsets)))
        for start in range(0, len(texts), _CHUNK):
            tokens = split.tokens(texts[start : start + _CHUNK])
            found[start : start + len(tokens)] = self.logits_of(split.states(tokens))
        return found

    def logits_of(self, states: Sequence[States]) -> Float64Array:
        """The same from the states that enter the trained layers."""
        import torch

        split, (upper, outputs, offsets) = self._split, self._opened
        found = np.empty((len(states), len(self.offsets)))
        with one_thread(torch), torch.inference_mode(), full_precision(torch):
            for length, size, rows in split.blocks([len(row) for row in states]):
                given, mask = padded([states[row] for row in rows], split.device, length, size)
                block = torch.nn.functional.linear(upper(given, mask), outputs, offsets)
                found[rows] = block[: len(rows)].cpu().numpy()
        return found

    @property
    def _split(self) -> SplitEncoder:
        split = open_split(self.encoder, self.num_trained, self.max_tokens)
        if split.identity != self.identity:
            raise InputError(
                f"the encoder '{self.encoder}' is not the one that this model was trained with: its files or "
                "the settings of this version differ.",
                key=KEY,
                fix="Put the files back that it was trained with, or train the model again.",
            )
        return split

    @cached_property
    def _opened(self) -> tuple[Any, Any, Any]:
        import torch

        split = self._split
        upper = split.new_upper()
        kept = {name: torch.from_numpy(values.astype(np.float32)) for name, values in self.weights.items()}
        upper.layers.load_state_dict(kept)
        upper.network.eval()
        parts = (torch.from_numpy(self.outputs.copy()), torch.from_numpy(self.offsets.copy()))
        return upper, parts[0].to(split.device), parts[1].to(split.device)

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The trained numbers as named arrays, for `from_arrays`."""
        layers = {f"layer:{name}": values for name, values in self.weights.items()}
        return {**layers, "outputs": self.outputs, "offsets": self.offsets}

    @staticmethod
    def from_arrays(split: SplitEncoder, arrays: dict[str, NDArray[Any]]) -> TunedTags:
        """What `to_arrays` gave, of the same encoder.

        Raises:
            KeyError: Arrays are missing.
        """
        weights = {
            name.removeprefix("layer:"): values
            for name, values in arrays.items()
            if name.startswith("layer:")
        }
        return TunedTags(
            split.name, split.identity, split.num_trained, split.max_tokens, weights,
            arrays["outputs"], arrays["offsets"],
        )  # fmt: skip
