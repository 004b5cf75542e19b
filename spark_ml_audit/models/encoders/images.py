"""Encoders of images: the pixels themselves, a pretrained vision network of transformers, or a function.

All take contents (see `models.images`) and open them; an image that cannot be read gets a vector of NaN,
which models take for a missing value.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from spark_ml_audit.errors import ConfigError
from spark_ml_audit.models.cnn import SIZE, WIDTH
from spark_ml_audit.models.design import BoolArray, Float32Array
from spark_ml_audit.models.encoders.base import KEY, Described, identity_of, middle_layers
from spark_ml_audit.models.images import opened, pixels, require_pillow
from spark_ml_audit.models.torch_state import one_thread

PIXELS = "pixels"
"""Name of the encoder that gives an image's own pixels: what a network trained from scratch reads."""

IMAGES_AT_ONCE = 16
"""Images of a batch of a network; the last batch is filled up."""


class ImageReader(Described, Protocol):
    """What makes vectors of opened images."""

    def read(self, images: Sequence[Any], layers: Sequence[int]) -> Float32Array:
        """Vectors of shape (n, len(layers), width) of PIL images in RGB."""


class ImageEncoder:
    """An encoder of contents: opens images and has a reader make vectors of them.

    Args:
        reader: Makes the vectors.
    """

    def __init__(self, reader: ImageReader) -> None:
        require_pillow()
        self.reader = reader
        self._last = threading.local()

    @property
    def identity(self) -> str:
        """Hash of what decides the vectors."""
        return self.reader.identity

    @property
    def num_layers(self) -> int:
        """Layers of the network."""
        return self.reader.num_layers

    @property
    def candidates(self) -> tuple[int, ...]:
        """Layers that are tried."""
        return self.reader.candidates

    @property
    def width(self) -> int:
        """Numbers of a vector."""
        return self.reader.width

    @property
    def about(self) -> str:
        """What it is, for people."""
        return self.reader.about

    def encode(self, values: Sequence[Any], layers: Sequence[int]) -> Float32Array:
        """Vectors of shape (n, len(layers), width); NaN for images that cannot be read."""
        found = np.full((len(values), len(layers), self.width), np.nan, dtype=np.float32)
        for start in range(0, len(values), IMAGES_AT_ONCE):
            images = [opened(content) for content in values[start : start + IMAGES_AT_ONCE]]
            good = [place for place, image in enumerate(images) if image is not None]
            if good:
                read = self.reader.read([images[place] for place in good], layers)
                found[[start + place for place in good]] = read
        # opened once only: an address may not answer twice
        self._last.values, self._last.broken = values, np.isnan(found).all(axis=(1, 2))
        return found

    def too_long(self, values: Sequence[Any]) -> BoolArray:
        """Which images cannot be read, shape (n,)."""
        if getattr(self._last, "values", None) is values:
            broken: BoolArray = self._last.broken
            return broken
        return np.array([opened(content) is None for content in values], dtype=bool)


class PixelReader:
    """An image's own pixels, scaled to one size.

    Attributes:
        identity: Hash of the size.
    """

    identity = identity_of("pixels", str(SIZE))
    num_layers = 1
    candidates = (1,)
    width = WIDTH
    about = f"their pixels ({SIZE} x {SIZE})"

    def read(self, images: Sequence[Any], layers: Sequence[int]) -> Float32Array:
        """Pixels of shape (n, 1, WIDTH)."""
        return np.stack([pixels(image, SIZE) for image in images])[:, None]


class FunctionReader:
    """`module:function`, called with lists of PIL images in RGB; one layer.

    Args:
        name: As it was given.
        function: The function.
        source: What identifies its code.
    """

    num_layers = 1
    candidates = (1,)

    def __init__(self, name: str, function: Callable[[list[Any]], Any], source: str) -> None:
        require_pillow()
        from PIL import Image

        self.name, self._function = name, function
        probe = [Image.new("RGB", size, (90, 120, 30)) for size in ((40, 30), (30, 40))]
        self.width = int(self._called(probe).shape[1])
        self.identity = identity_of("function of images", name, source)

    @property
    def about(self) -> str:
        """What it is, for people."""
        return f"{self.name} ({self.width} numbers)"

    def read(self, images: Sequence[Any], layers: Sequence[int]) -> Float32Array:
        """Vectors of shape (n, 1, width)."""
        return self._called(list(images))[:, None]

    def _called(self, images: list[Any]) -> Float32Array:
        fix = "Name a function that takes a list of PIL images and returns an array of one row for each."
        try:
            vectors = np.asarray(self._function(images), dtype=np.float32)
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            raise ConfigError(
                f"'{self.name}' fails on {len(images)} images ({said}).", key=KEY, fix=fix
            ) from error
        if vectors.ndim != 2 or len(vectors) != len(images) or not vectors.shape[1]:
            raise ConfigError(
                f"'{self.name}' returns an array of shape {vectors.shape} for {len(images)} images.",
                key=KEY,
                fix=fix,
            )
        return vectors


class VisionReader:
    """A vision network of transformers in a folder: the mean over the patches of a middle layer.

    Networks whose stages differ in width (convolutional ones) give the mean over the places of the last one.

    Args:
        folder: config.json, preprocessor_config.json, weights as safetensors.
        name: As it was given, for messages.
        digest: Hash of the folder's files.
    """

    def __init__(self, folder: Path, name: str, digest: str) -> None:
        self.folder, self.name = folder, name
        config = self._config
        widths = list(getattr(config, "hidden_sizes", None) or ())
        self._is_staged = bool(widths)
        if widths:
            self.num_layers, self.width = len(widths), int(widths[-1])
            self.candidates: tuple[int, ...] = (self.num_layers,)
        else:
            self.num_layers, self.width = int(config.num_hidden_layers), int(config.hidden_size)
            self.candidates = middle_layers(self.num_layers)
        self.identity = identity_of("images", digest)
        self._opening = threading.Lock()

    @property
    def about(self) -> str:
        """What it is, for people."""
        return f"{self.name} ({self.num_layers} layers, {self.width} numbers)"

    def read(self, images: Sequence[Any], layers: Sequence[int]) -> Float32Array:
        """Vectors of shape (n, len(layers), width)."""
        import torch

        processor, network = self._network
        # one by one: a processor may pad to the largest of its images
        inputs = [processor(images=image, return_tensors="pt")["pixel_values"] for image in images]
        filled = [*inputs, *[inputs[0]] * (IMAGES_AT_ONCE - len(inputs))]
        with one_thread(torch), torch.inference_mode():
            states = network(pixel_values=torch.cat(filled), output_hidden_states=True).hidden_states
            parts = []
            for layer in layers:
                # the first of the states is what goes into the first layer
                state = states[-1] if self._is_staged else states[layer]
                parts.append(state.flatten(2).mean(dim=2) if state.ndim == 4 else state.mean(dim=1))
            found: Float32Array = torch.stack(parts, dim=1).float().numpy()
        return found[: len(images)]

    @cached_property
    def _config(self) -> Any:
        from transformers import AutoConfig

        try:
            config = AutoConfig.from_pretrained(self.folder, local_files_only=True)
            return getattr(config, "vision_config", config)
        except Exception as error:
            raise self._unreadable(error) from error

    @property
    def _network(self) -> tuple[Any, Any]:
        with self._opening:
            return self._opened

    @cached_property
    def _opened(self) -> tuple[Any, Any]:
        from transformers import AutoImageProcessor, AutoModel

        try:
            processor = AutoImageProcessor.from_pretrained(self.folder, local_files_only=True)
            network = AutoModel.from_pretrained(self.folder, local_files_only=True, use_safetensors=True)
        except Exception as error:
            raise self._unreadable(error) from error
        return processor, getattr(network, "vision_model", network).eval()

    def _unreadable(self, error: Exception) -> ConfigError:
        said = (str(error).strip().splitlines() or [""])[0]
        return ConfigError(
            f"'{self.name}' cannot be opened as a vision network ({type(error).__name__}: {said[:200]}).",
            key=KEY,
            fix="Name the folder of a vision network of transformers with its preprocessor_config.json.",
        )
