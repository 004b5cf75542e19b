"""How an encoder is trained on tags."""

from __future__ import annotations

from dataclasses import dataclass, field

NUM_TRAINED = 2
"""Upper layers that are trained; those below stay as they are, and their states are computed once."""

MAX_TOKENS = 128
"""Tokens of a text that are read; the learner that is averaged with reads on."""

MAX_STATE_BYTES = 4 << 30
"""Bytes of hidden states on disk for one work folder; states beyond are computed whenever they are needed."""


@dataclass(frozen=True)
class Training:
    """Numbers of the training itself.

    Attributes:
        epochs: Times that every row is seen.
        learning_rate: Highest rate of AdamW, reached after the warm-up; it falls to 0 in a straight line.
        warm_up: Share of the steps in which the rate rises.
        batch: Rows of a step.
        weight_decay: Of AdamW, on matrices alone.
        max_norm: Length that gradients are cut to.
    """

    epochs: int = 3
    learning_rate: float = 1e-4
    warm_up: float = 0.1
    batch: int = 32
    weight_decay: float = 0.01
    max_norm: float = 1.0


@dataclass(frozen=True)
class FineTuning:
    """What is trained, and where its work is kept meanwhile.

    Attributes:
        encoder: Folder or hub name of a transformers text encoder, as `load_encoder` takes it.
        num_trained: Upper layers that are trained.
        max_tokens: Tokens of a text that are read.
        training: Numbers of the training.
        work: Local folder for hidden states, trained weights of killed runs and progress; None, or a folder
            that a task does not see: a temporary one, and nothing is kept.
        max_state_bytes: Bytes of hidden states in it at most.
    """

    encoder: str
    num_trained: int = NUM_TRAINED
    max_tokens: int = MAX_TOKENS
    training: Training = field(default_factory=Training)
    work: str | None = None
    max_state_bytes: int = MAX_STATE_BYTES
