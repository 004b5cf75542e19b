"""A transformer cut in two: lower layers that stay as they are, upper ones to be trained."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spark_ml_audit.errors import ConfigError
from spark_ml_audit.models.encoders.base import KEY
from spark_ml_audit.models.encoders.choose import load_encoder
from spark_ml_audit.models.encoders.text import (
    LENGTHS,
    MAX_CHARACTERS,
    TextEncoder,
    device_here,
)
from spark_ml_audit.models.finetune.halves import Upper, cut, masked_mean
from spark_ml_audit.models.torch_state import full_precision, one_thread

BLOCK_TOKENS = 1024
"""Tokens of a block in which rows are computed: blocks have one shape per length."""

States = NDArray[np.float16]
"""Hidden states of one text between the two halves, shape (tokens, width)."""

_LARGEST = np.float32(65504.0)  # of float16
_MISMATCH = 1e-3
_PROBE = ("spark", "a table of films with tags that somebody gave by hand")

_open_halves: dict[tuple[str, str, int, int], SplitEncoder] = {}
_opening = threading.Lock()


def open_split(name: str, num_trained: int, max_tokens: int) -> SplitEncoder:
    """The encoder cut below its upper layers; opened once per process.

    Args:
        name: As `load_encoder` takes it.
        num_trained: Layers of the upper half.
        max_tokens: Tokens of a text that are read at most.

    Raises:
        ConfigError: It is no transformer from a folder or the hub, or cannot be cut (key `model.encoder`).
        SetupError: Packages are missing.
    """
    encoder = load_encoder(name)
    if not isinstance(encoder, TextEncoder):
        raise ConfigError(
            f"'{name}' is a function, whose layers cannot be trained.",
            key="model.encoder_level",
            fix="Set model.encoder_level: frozen, or name the folder of a transformers text encoder.",
        )
    # by name too: models keep it, and two folders may hold the same files
    key = (name, encoder.identity, num_trained, max_tokens)
    with _opening:
        if key not in _open_halves:
            _open_halves[key] = SplitEncoder(encoder, name, num_trained, max_tokens)
        return _open_halves[key]


class SplitEncoder:
    """Lower layers as a function from tokens to states, upper ones as a network from states to vectors.

    Args:
        encoder: The encoder.
        name: As it was given.
        num_trained: Layers of the upper half, at most half of all.
        max_tokens: Tokens of a text that are read at most.

    Attributes:
        name: Of the encoder.
        identity: Hash of its files.
        num_trained: Layers of the upper half.
        max_tokens: Tokens of a text that are read.
        width: Numbers of a state.
    """

    def __init__(self, encoder: TextEncoder, name: str, num_trained: int, max_tokens: int) -> None:
        self.name, self.identity = name, encoder.identity
        self.num_trained = max(1, min(num_trained, encoder.num_layers // 2))
        self.max_tokens = min(max_tokens, encoder.max_tokens)
        self.num_layers, self.width = encoder.num_layers, encoder.width
        self._encoder = encoder
        self._opening = threading.Lock()

    # ---- tokens ------------------------------------------------------------------------------------

    def tokens(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """Tokens of each text, at most `max_tokens`, one at least."""
        if not len(texts):
            return []
        read = [text[:MAX_CHARACTERS] for text in texts]
        tokenizer = self._encoder.tokenizer
        # where texts are cut is a state of the tokenizer, which threads and the frozen encoder share
        with self._encoder.tokenizing:
            found = tokenizer(read, truncation=True, max_length=self.max_tokens)["input_ids"]
        pad = tokenizer.pad_token_id or 0
        return [np.array(row or [pad], dtype=np.int32) for row in found]

    def lengths(self) -> list[int]:
        """Lengths to which texts are padded, ascending."""
        return [*(length for length in LENGTHS if length < self.max_tokens), self.max_tokens]

    def blocks(self, counts: Sequence[int]) -> Iterator[tuple[int, int, NDArray[np.int64]]]:
        """Texts that are computed together: length and rows of the block, and which texts.

        The length follows from the text alone, and blocks of one length have one shape: BLAS rounds a row
        differently for another.

        Args:
            counts: Tokens of each text.
        """
        steps = self.lengths()
        buckets = np.searchsorted(steps, np.asarray(counts))
        for bucket in np.unique(buckets):
            rows = np.flatnonzero(buckets == bucket)
            size = max(BLOCK_TOKENS // steps[bucket], 1)
            for start in range(0, len(rows), size):
                yield steps[bucket], size, rows[start : start + size]

    # ---- the lower half ----------------------------------------------------------------------------

    def states(self, tokens: Sequence[NDArray[np.int32]]) -> list[States]:
        """Hidden states of each text as they enter the upper half; float32 inside, then rounded once."""
        import torch

        found: list[States] = [np.zeros((0, self.width), np.float16)] * len(tokens)
        lower, _ = self._halves
        with one_thread(torch), torch.inference_mode(), full_precision(torch):
            for length, size, rows in self.blocks([len(row) for row in tokens]):
                ids, mask = self._padded([tokens[row] for row in rows], size, length)
                computed = lower(ids, mask).float().cpu().numpy()
                for place, row in enumerate(rows):
                    own = computed[place, : len(tokens[row])]
                    found[row] = np.clip(own, -_LARGEST, _LARGEST).astype(np.float16)
        return found

    def _padded(self, tokens: Sequence[NDArray[np.int32]], size: int, length: int) -> tuple[Any, Any]:
        """Ids and mask of shape (size, length); rows beyond those given repeat the first."""
        import torch

        ids = np.full((size, length), self._encoder.tokenizer.pad_token_id or 0, dtype=np.int64)
        mask = np.zeros((size, length), dtype=np.int64)
        for row in range(size):
            own = tokens[row if row < len(tokens) else 0]
            ids[row, : len(own)] = own
            mask[row, : len(own)] = 1
        device = self.device
        return torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device)

    # ---- the halves --------------------------------------------------------------------------------

    def open(self) -> None:
        """Read the network and cut it; later calls find it open.

        Raises:
            ConfigError: It cannot be cut (key `model.encoder_level`).
        """
        self._halves  # noqa: B018 - read once

    def new_upper(self) -> Upper:
        """A copy of the upper half as it was downloaded: (states, mask) -> vectors (rows, width)."""
        upper: Upper = copy.deepcopy(self._halves[1])
        return upper

    @cached_property
    def device(self) -> Any:
        """A GPU where there is one."""
        return device_here()

    @property
    def _halves(self) -> tuple[Any, Any]:
        with self._opening:
            return self._opened

    @cached_property
    def _opened(self) -> tuple[Any, Any]:
        model = self._encoder.loaded().eval().to(self.device)
        for weights in model.parameters():
            weights.requires_grad_(False)
        halves = cut(model, self.num_layers, self.num_layers - self.num_trained)
        self._check(model, *halves)
        return halves

    def _check(self, model: Any, lower: Any, upper: Any) -> None:
        """Refuse a network whose halves, one after the other, give something else than the whole.

        Raises:
            ConfigError: They do.
        """
        import torch

        tokens = self.tokens(_PROBE)
        ids, mask = self._padded(tokens, len(tokens), max(map(len, tokens)))
        try:
            with one_thread(torch), torch.inference_mode(), full_precision(torch):
                whole = masked_mean(model(input_ids=ids, attention_mask=mask).last_hidden_state, mask)
                apart = upper(lower(ids, mask), mask)
            difference = float((whole - apart).abs().max() / whole.abs().max().clamp_min(1e-6))
        except Exception as error:
            raise self._uncut(f"{type(error).__name__}: {str(error)[:200]}") from error
        if not difference <= _MISMATCH:
            raise self._uncut(f"its halves differ from the whole by {difference:.2g}")

    def _uncut(self, why: str) -> ConfigError:
        return ConfigError(
            f"the network of '{self.name}' cannot be cut below its upper layers ({why}).",
            key="model.encoder_level",
            fix=f"Set model.encoder_level: frozen, or name another encoder under {KEY}, such as a BERT.",
        )
