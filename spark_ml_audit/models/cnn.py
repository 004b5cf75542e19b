"""A small convolutional network that learns tags from images, for images that no pretrained encoder suits.

It is trained from scratch on the rows of its own fold, so it needs hundreds of rows per tag, and it sees
shapes of some size rather than fine detail: images are `SIZE` pixels wide and high. Torch alone is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spark_ml_audit.models.design import BoolArray, Float32Array
from spark_ml_audit.models.torch_state import deterministic, one_thread

SIZE = 32
"""Pixels of an image on either side."""

CHANNELS = 3
WIDTH = CHANNELS * SIZE * SIZE
"""Numbers of an image: channel, row, column; 0 black to 1 white."""

BLOCKS = (24, 48, 96)
"""Channels after each block of a convolution, a normalisation and a halving."""

BATCH = 64
UPDATES = 1500
EPOCHS = (6, 30)
"""Steps of training, whatever the number of rows, as long as every row is seen so often."""

LEARNING_RATE = 3e-3
SHIFT = 2
"""Pixels by which images are shifted at random, either way, while training."""

_PREDICT_ROWS = 64


def epochs_of(num_rows: int | float) -> int:
    """How often every row is seen.

    >>> [epochs_of(n) for n in (100, 5000, 1_000_000)]
    [30, 19, 6]
    """
    return int(np.clip(round(UPDATES / max(-(-num_rows // BATCH), 1)), *EPOCHS))


@dataclass(frozen=True, eq=False)
class Cnn:
    """A trained network.

    Attributes:
        weights: Name -> array, as torch keeps them.
        num_tags: Tags K that it predicts.

    Example:
        >>> import importlib.util
        >>> importlib.util.find_spec("torch") is not None  # doctest: +SKIP
        True
    """

    weights: dict[str, NDArray[Any]]
    num_tags: int

    @staticmethod
    def fit(pixels: Float32Array, given: BoolArray, seed: int) -> Cnn:
        """Train on images of shape (n, `WIDTH`) and their tags, shape (n, K).

        The same bits for the same rows in the same order on one machine, one thread.
        """
        import torch

        with _reproducible(torch, seed):
            network = _network(torch, given.shape[1])
            images = torch.from_numpy(np.ascontiguousarray(pixels)).view(-1, CHANNELS, SIZE, SIZE)
            targets = torch.from_numpy(given.astype(np.float32))
            _start_at_shares(torch, network, targets)
            _train(torch, network, images, targets)
            weights = {name: value.numpy().copy() for name, value in network.state_dict().items()}
        return Cnn(weights, given.shape[1])

    def logits(self, pixels: Float32Array) -> Float32Array:
        """Logits of shape (n, K); a row's do not depend on the rows beside it, blocks have one shape."""
        import torch

        found = np.zeros((len(pixels), self.num_tags), dtype=np.float32)
        with _reproducible(torch, 0), torch.inference_mode():
            network = _network(torch, self.num_tags)
            network.load_state_dict({name: torch.from_numpy(value) for name, value in self.weights.items()})
            network.eval()
            for start in range(0, len(pixels), _PREDICT_ROWS):
                rows = pixels[start : start + _PREDICT_ROWS]
                block = np.zeros((_PREDICT_ROWS, WIDTH), dtype=np.float32)
                block[: len(rows)] = rows
                out = network(torch.from_numpy(block).view(-1, CHANNELS, SIZE, SIZE))
                found[start : start + len(rows)] = out.numpy()[: len(rows)]
        return found


def _network(torch: Any, num_tags: int) -> Any:
    nn = torch.nn
    layers: list[Any] = []
    before = CHANNELS
    for width in BLOCKS:
        layers += [nn.Conv2d(before, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        layers += [nn.MaxPool2d(2)]
        before = width
    layers += [nn.Conv2d(before, before, 3, padding=1, bias=False), nn.BatchNorm2d(before), nn.ReLU()]
    # a tag is there if it is anywhere: the largest response over the places
    layers += [nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Dropout(0.3), nn.Linear(before, num_tags)]
    return nn.Sequential(*layers)


def _start_at_shares(torch: Any, network: Any, targets: Any) -> None:
    """Begin with the tags' shares as probabilities: steps are not spent on them."""
    share = targets.mean(dim=0).clamp(1e-3, 1 - 1e-3)
    with torch.no_grad():
        network[-1].bias.copy_(torch.log(share / (1 - share)))


def _train(torch: Any, network: Any, images: Any, targets: Any) -> None:
    n = len(images)
    steps = -(-n // BATCH)
    epochs = epochs_of(n)
    optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=LEARNING_RATE, total_steps=steps * epochs, pct_start=0.2
    )
    loss_of = torch.nn.BCEWithLogitsLoss()
    network.train()
    for _ in range(epochs):
        order = torch.randperm(n)
        for start in range(0, n, BATCH):
            rows = order[start : start + BATCH]
            if len(rows) < 2 and n > 1:  # nothing to normalise by
                rows = order[-2:]
            optimiser.zero_grad()
            loss_of(network(_shifted(torch, images[rows])), targets[rows]).backward()
            optimiser.step()
            schedule.step()


def _shifted(torch: Any, images: Any) -> Any:
    """Images moved by a few pixels, all of a batch alike; the border is repeated."""
    padded = torch.nn.functional.pad(images, (SHIFT, SHIFT, SHIFT, SHIFT), mode="replicate")
    down, right = torch.randint(0, 2 * SHIFT + 1, (2,)).tolist()
    return padded[:, :, down : down + SIZE, right : right + SIZE]


@contextmanager
def _reproducible(torch: Any, seed: int) -> Iterator[None]:
    """One thread, deterministic algorithms and a seed of its own; as it was afterwards."""
    with one_thread(torch), deterministic(torch), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
