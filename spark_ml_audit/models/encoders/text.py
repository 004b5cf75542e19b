"""Texts as the masked mean of a middle layer of a pretrained transformer; torch and transformers.

Batches have one shape per length and one precision, rows are padded to the length of their own bucket: so a
text's vectors do not depend on the texts beside it beyond the last bits.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from spark_ml_audit.errors import ConfigError
from spark_ml_audit.models.design import BoolArray, Float32Array
from spark_ml_audit.models.encoders.base import KEY, identity_of, middle_layers
from spark_ml_audit.models.torch_state import full_precision, one_thread

MAX_TOKENS = 256
"""Tokens of a text that are read; what follows is left out."""

LENGTHS = (16, 24, 32, 48, 64, 96, 128, 192, 256)
"""Lengths to which texts are padded: each to the shortest that holds it."""

BATCH_TOKENS = 2048
"""Tokens of a batch; on a GPU sixteen times as many."""

MAX_CHARACTERS = 8192
"""Characters that are tokenised: beyond the tokens that are read, and no text can stall a task."""

_GPU_FACTOR = 16
_FILES = ("*.json", "*.txt", "*.model", "*.safetensors")
# What is written beside a model and changes no vector.
_BESIDE = ("README.txt", "model_card.json")


def fetched(name: str) -> Path:
    """The folder of a model of the Hugging Face hub: as downloaded before, else downloaded now.

    Raises:
        ConfigError: It is neither here nor to be had.
    """
    from huggingface_hub import snapshot_download

    with suppress(Exception):  # not downloaded before
        return Path(snapshot_download(name, allow_patterns=list(_FILES), local_files_only=True))
    try:
        return Path(snapshot_download(name, allow_patterns=list(_FILES)))
    except Exception as error:
        said = (str(error).strip().splitlines() or [""])[0]
        raise ConfigError(
            f"found '{name}', which is no folder here, and the Hugging Face hub does not give it "
            f"({type(error).__name__}: {said[:200].rstrip('. ')}).",
            key=KEY,
            fix="Download it where there is a network (huggingface-cli download "
            f"{name} --local-dir FOLDER), and name the folder.",
        ) from error


class TextEncoder:
    """A transformer in a folder.

    Args:
        folder: The folder: config.json, tokenizer, weights as safetensors.
        name: As it was given, for messages.

    Attributes:
        identity: Hash of the folder's files and of the settings above.
        num_layers: Layers of the network.
        candidates: Layers at half to five sixths of its depth; those above the last are not run.
        width: Numbers of a vector.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        config = self._config()
        self.num_layers = int(config.num_hidden_layers)
        self.width = int(config.hidden_size)
        self._positions = int(getattr(config, "max_position_embeddings", None) or MAX_TOKENS)
        self.candidates = middle_layers(self.num_layers)
        self.identity = identity_of("text", digest_of(folder), str(MAX_TOKENS), str(LENGTHS))
        self._opening = threading.Lock()
        self.tokenizing = threading.Lock()

    @property
    def about(self) -> str:
        """What it is, for people."""
        return (
            f"{self.name} ({self.num_layers} layers, {self.width} numbers, at most {self.max_tokens} tokens)"
        )

    @property
    def max_tokens(self) -> int:
        """Tokens of a text that are read."""
        most = getattr(self.tokenizer, "model_max_length", None) or MAX_TOKENS
        return min(MAX_TOKENS, int(most), self._positions)

    def encode(self, values: Sequence[Any], layers: Sequence[int]) -> Float32Array:
        """Vectors of shape (n, len(layers), width); see `base.Encoder`."""
        import torch

        found = np.zeros((len(values), len(layers), self.width), dtype=np.float32)
        network, device = self._network
        tokens = self._tokens(values, cut=True)
        lengths = np.array([len(row) for row in tokens], dtype=np.int64)
        steps = [*(length for length in LENGTHS if length < self.max_tokens), self.max_tokens]
        buckets = np.searchsorted(steps, lengths)
        at_once = BATCH_TOKENS * (1 if device.type == "cpu" else _GPU_FACTOR)
        with one_thread(torch), torch.inference_mode(), full_precision(torch):
            for bucket in np.unique(buckets):
                rows = np.flatnonzero(buckets == bucket)
                length = steps[bucket]
                size = max(at_once // length, 1)
                for start in range(0, len(rows), size):
                    chosen = rows[start : start + size]
                    ids, mask = self._padded([tokens[row] for row in chosen], size, length)
                    found[chosen] = network(ids, mask, layers)[: len(chosen)]
        return found

    def too_long(self, values: Sequence[Any]) -> BoolArray:
        """Which texts have more tokens than are read, shape (n,)."""
        return np.array([len(row) > self.max_tokens for row in self._tokens(values, cut=False)], dtype=bool)

    # ---- tokens ------------------------------------------------------------------------------------

    def _tokens(self, values: Sequence[Any], *, cut: bool) -> list[list[int]]:
        if not len(values):
            return []
        texts = [str(value)[:MAX_CHARACTERS] for value in values]
        most = {"truncation": True, "max_length": self.max_tokens} if cut else {"truncation": False}
        # where texts are cut is a state of the tokenizer, and threads share it
        with self.tokenizing:
            found: list[list[int]] = self.tokenizer(texts, **most)["input_ids"]
        return found

    def _padded(self, tokens: list[list[int]], size: int, length: int) -> tuple[Any, Any]:
        """Ids and mask of shape (size, length); rows beyond those given repeat the first."""
        pad = self.tokenizer.pad_token_id
        ids = np.full((size, length), 0 if pad is None else pad, dtype=np.int64)
        mask = np.zeros((size, length), dtype=np.int64)
        for row in range(size):
            own = tokens[row if row < len(tokens) else 0]
            ids[row, : len(own)] = own
            mask[row, : max(len(own), 1)] = 1
        return ids, mask

    # ---- what is opened ----------------------------------------------------------------------------

    def _config(self) -> Any:
        _quiet()
        from transformers import AutoConfig

        try:
            config = AutoConfig.from_pretrained(str(self.folder), local_files_only=True)
            text_config = config.get_text_config()
            int(text_config.num_hidden_layers), int(text_config.hidden_size)
        except Exception as error:
            raise self.unreadable(error) from error
        if not list(self.folder.glob("*.safetensors")):
            raise ConfigError(
                f"the folder '{self.folder}' holds no weights as safetensors.",
                key=KEY,
                fix="Download or save the model with safetensors: other formats run code when they are read.",
            )
        return text_config

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer; how it cuts is a state of it, so whoever calls it holds `tokenizing`."""
        _quiet()
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # tasks fork, and threads are counted
        from transformers import AutoTokenizer

        try:
            return AutoTokenizer.from_pretrained(str(self.folder), local_files_only=True, use_fast=True)
        except Exception as error:
            raise self.unreadable(error) from error

    @property
    def _network(self) -> tuple[_Network, Any]:
        with self._opening:
            return self._opened

    @cached_property
    def _opened(self) -> tuple[_Network, Any]:
        model, device = self.loaded(), device_here()
        return _Network(model, self.candidates[-1], self.num_layers, device), device

    def loaded(self) -> Any:
        """The network of the folder, read anew, in float32.

        Raises:
            ConfigError: Its files cannot be read.
        """
        import torch
        from transformers import AutoModel

        try:
            return AutoModel.from_pretrained(
                str(self.folder), local_files_only=True, use_safetensors=True, dtype=torch.float32
            )
        except Exception as error:
            raise self.unreadable(error) from error

    def unreadable(self, error: Exception) -> ConfigError:
        """The refusal of a model whose files cannot be read."""
        said = (str(error).strip().splitlines() or [""])[0]
        return ConfigError(
            f"the folder '{self.folder}' is no text encoder ({type(error).__name__}: "
            f"{said[:200].rstrip('. ')}).",
            key=KEY,
            fix="Name a folder with config.json, tokenizer and model.safetensors of a transformers model.",
        )


class _Network:
    """The lower layers of a network, and what comes out of each."""

    def __init__(self, model: Any, top: int, num_layers: int, device: Any) -> None:
        if model.config.is_encoder_decoder:
            model = model.get_encoder()
        layers = layers_of(model, num_layers)
        del layers[top:]
        self._model = model.eval().to(device)
        self._device = device
        self._states: threading.local = threading.local()
        for number, layer in enumerate(layers, start=1):
            layer.register_forward_hook(self._keep(number))

    def _keep(self, number: int) -> Any:
        def keep(_layer: Any, _given: Any, output: Any) -> None:
            self._states.found[number] = output[0] if isinstance(output, tuple) else output

        return keep

    def __call__(self, ids: Any, mask: Any, layers: Sequence[int]) -> Any:
        """Masked means of the layers' states, shape (rows, len(layers), width)."""
        import torch

        self._states.found = {}
        given = torch.from_numpy(ids).to(self._device)
        kept = torch.from_numpy(mask).to(self._device)
        self._model(input_ids=given, attention_mask=kept)
        weights = kept.unsqueeze(-1).to(torch.float32)
        counts = weights.sum(dim=1)
        means = [(self._states.found[layer] * weights).sum(dim=1) / counts for layer in layers]
        self._states.found = {}
        return torch.stack(means, dim=1).cpu().numpy()


def device_here() -> Any:
    """The GPU that torch finds, else the processor."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def layers_of(model: Any, num_layers: int) -> Any:
    """The list of a network's layers, whatever it is called there."""
    import torch

    for module in model.modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == num_layers:
            return module
    raise ConfigError(
        f"a network of the class {type(model).__name__} has no list of {num_layers} layers.",
        key=KEY,
        fix="Name another model, or a module:function that encodes by this one.",
    )


def digest_of(folder: Path) -> str:
    """SHA-256 over the names and contents of the files that decide the vectors."""
    found = hashlib.sha256()
    files = sorted({file for pattern in _FILES for file in folder.glob(pattern)})
    for file in files:
        if file.name in _BESIDE:
            continue
        found.update(f"{file.name}:{file.stat().st_size}:".encode())
        with file.open("rb") as content:
            while part := content.read(1 << 20):
                found.update(part)
    return found.hexdigest()


def _quiet() -> None:
    """No bars and remarks of transformers on stderr, where progress is told."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
