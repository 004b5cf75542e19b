"""Training of the upper layers and one output per tag: binary cross-entropy by AdamW."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spark_ml_audit.models.design import BoolArray, Float32Array, IntArray
from spark_ml_audit.models.finetune.settings import Training
from spark_ml_audit.models.finetune.split import SplitEncoder, States
from spark_ml_audit.models.torch_state import deterministic, one_thread

_GROUP = 50
"""Batches whose rows are sorted by length among each other, so that little is padding."""

_PAD_TO = 8

StatesOf = Callable[[IntArray], Sequence[States]]
"""Hidden states of rows, by their positions."""

Weights = dict[str, NDArray[np.float16]]


def train_upper(
    split: SplitEncoder,
    states_of: StatesOf,
    lengths: IntArray,
    given: BoolArray,
    training: Training,
    seed: int,
    step_done: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Weights, Float32Array, Float32Array]:
    """Train on rows in a stable order; the same bits for the same rows and seed on one machine.

    Args:
        split: The encoder.
        states_of: Gives states as they enter the upper layers.
        lengths: Tokens of each of n rows, shape (n,).
        given: Given tags, shape (n, K).
        training: Epochs, rates.
        seed: Of the order of rows, the outputs' first weights and dropout.
        step_done: Called after each step with steps done and their number.

    Returns:
        Weights of the layers by name, float16; those of the outputs, shape (K, width); their offsets,
        shape (K,).
    """
    import torch

    device = split.device
    devices = [device] if device.type == "cuda" else []
    with one_thread(torch), torch.random.fork_rng(devices), deterministic(torch):
        torch.manual_seed(seed)
        upper, head = split.new_upper(), _new_head(split, given, device)
        upper.network.train()
        optimizer = _optimizer(upper, head, training)
        trained = [weights for group in optimizer.param_groups for weights in group["params"]]
        loss_of = torch.nn.BCEWithLogitsLoss()
        total = training.epochs * -(-len(lengths) // training.batch)
        batches = _batches(lengths, training, seed)
        for step, rows in enumerate(batches):
            for group in optimizer.param_groups:
                group["lr"] = group["highest"] * rate_at(step, total, training.warm_up)
            states, mask = padded(states_of(rows), device)
            targets = torch.from_numpy(given[rows].astype(np.float32)).to(device)
            with mixed_precision(torch, device):
                vectors = upper(states, mask)
            loss = loss_of(head(vectors.float()), targets)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, training.max_norm)
            optimizer.step()
            step_done(step + 1, total)
    weights = {name: _half(values) for name, values in upper.layers.state_dict().items()}
    return weights, head.weight.detach().float().cpu().numpy(), head.bias.detach().float().cpu().numpy()


def rate_at(step: int, total: int, warm_up: float) -> float:
    """Share of the highest learning rate at a step, from 0: up in a straight line, then down to 0.

    >>> [round(rate_at(step, 10, 0.2), 3) for step in (0, 1, 2, 9)]
    [0.5, 1.0, 1.0, 0.125]
    """
    rising = max(round(total * warm_up), 1)
    if step < rising:
        return (step + 1) / rising
    return (total - step) / max(total - rising, 1)


def _batches(lengths: IntArray, training: Training, seed: int) -> Iterator[IntArray]:
    """Rows of each step: shuffled, those of about one length together."""
    n, size = len(lengths), training.batch
    for epoch in range(training.epochs):
        generator = np.random.default_rng([seed, epoch])
        order = generator.permutation(n)
        for start in range(0, n, size * _GROUP):
            group = order[start : start + size * _GROUP]
            group = group[np.argsort(lengths[group], kind="stable")]
            parts = [group[first : first + size] for first in range(0, len(group), size)]
            for place in generator.permutation(len(parts)):
                yield parts[place]


def padded(states: Sequence[States], device: Any, length: int | None = None, size: int | None = None) -> Any:
    """States of rows as one tensor (size, length, width), float32, and their mask (size, length).

    Args:
        states: Of each row.
        device: Where to.
        length: Tokens; by default those of the longest row, rounded up to a multiple of eight.
        size: Rows; those beyond the ones given repeat the first.
    """
    import torch

    longest = max(len(row) for row in states)
    wide = length or -(-longest // _PAD_TO) * _PAD_TO
    rows = size or len(states)
    table = np.zeros((rows, wide, states[0].shape[1]), dtype=np.float16)
    mask = np.zeros((rows, wide), dtype=np.int64)
    for place in range(rows):
        own = states[place if place < len(states) else 0]
        table[place, : len(own)] = own
        mask[place, : len(own)] = 1
    return torch.from_numpy(table).to(device).float(), torch.from_numpy(mask).to(device)


def _new_head(split: SplitEncoder, given: BoolArray, device: Any) -> Any:
    """One output per tag; offsets at the classes' log-odds, so that training begins at their shares."""
    import torch

    head = torch.nn.Linear(split.width, given.shape[1])
    present = given.sum(axis=0)
    offsets = np.log((present + 0.5) / (len(given) - present + 0.5)).astype(np.float32)
    with torch.no_grad():
        torch.nn.init.normal_(head.weight, std=0.02)
        head.bias.copy_(torch.from_numpy(offsets))
    return head.to(device)


def _optimizer(upper: Any, head: Any, training: Training) -> Any:
    import torch

    for weights in upper.layers.parameters():
        weights.requires_grad_(True)
    groups = []
    for network, factor in ((upper.layers, 1.0), (head, training.outputs_factor)):
        for is_matrix in (True, False):
            found = [weights for weights in network.parameters() if (weights.ndim > 1) == is_matrix]
            decay = training.weight_decay if is_matrix else 0.0
            highest = training.learning_rate * factor
            groups.append({"params": found, "weight_decay": decay, "highest": highest, "lr": highest})
    return torch.optim.AdamW(groups)


def uses_bfloat16(device: Any) -> bool:
    """Whether products of the training are made in bfloat16: where the processor or GPU has them.

    By what it has, not by what is faster today: the same machine gives the same model. Without instructions
    of their own they are slower than float32.
    """
    import torch

    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    has = [getattr(torch.cpu, f"_is_{name}_supported", None) for name in ("avx512_bf16", "amx_tile")]
    return any(known is not None and known() for known in has)


def mixed_precision(torch: Any, device: Any) -> Any:
    """Products in bfloat16 where there are such; a context."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=uses_bfloat16(device))


def _half(values: Any) -> NDArray[np.float16]:
    limit = float(np.finfo(np.float16).max)
    found: NDArray[np.float16] = values.detach().float().clamp(-limit, limit).cpu().numpy().astype(np.float16)
    return found
