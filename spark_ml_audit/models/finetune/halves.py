"""A network's lower and upper layers as two networks."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

from spark_ml_audit.errors import ConfigError
from spark_ml_audit.models.encoders.base import KEY
from spark_ml_audit.models.encoders.text import layers_of


def masked_mean(hidden: Any, mask: Any) -> Any:
    """Mean of the states of real tokens, shape (rows, width), float32."""
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(dim=1).float() / weights.sum(dim=1).float()


class Lower:
    """Embeddings and the layers below the cut: (ids, mask) -> states (rows, tokens, width)."""

    def __init__(self, network: Any) -> None:
        self.network = network

    def __call__(self, ids: Any, mask: Any) -> Any:
        """The states that reach the cut."""
        try:
            self.network(input_ids=ids, attention_mask=mask)
        except _ReachedCutError as reached:
            return reached.states
        raise RuntimeError("the network never reached its upper layers")


class Upper:
    """The layers above the cut and what follows them: (states, mask) -> vectors (rows, width).

    Attributes:
        network: The whole of it.
        layers: Its layers, which are all that is trained.
    """

    def __init__(self, network: Any, layers: Any) -> None:
        self.network, self.layers = network, layers

    def __call__(self, states: Any, mask: Any) -> Any:
        """Masked means of the last states, float32."""
        found = self.network(inputs_embeds=states, attention_mask=mask)
        return masked_mean(found.last_hidden_state, mask)


def cut(model: Any, num_layers: int, below: int) -> tuple[Lower, Upper]:
    """Both halves of a network.

    The lower one ends where the first layer above the cut would begin; the upper one gets states in the place
    of embeddings. So whatever a class of networks does around its layers (masks, positions, a last norm) is
    done in both.

    Args:
        model: The network, as transformers' `AutoModel` gives it; its lower half shares its weights.
        num_layers: Its layers.
        below: Layers of the lower half.

    Raises:
        ConfigError: It is built in another way (key `model.encoder_level`).
    """
    import torch

    if model.config.is_encoder_decoder or not hasattr(model, "embeddings"):
        raise ConfigError(
            f"a network of the class {type(model).__name__} has no embeddings below a list of layers.",
            key="model.encoder_level",
            fix=f"Set model.encoder_level: frozen, or name another encoder under {KEY}, such as a BERT.",
        )
    end, given = _stand_ins()
    layers = layers_of(model, num_layers)
    lower = torch.nn.ModuleList([*layers[:below], end(layers[below])])
    upper = copy.deepcopy(torch.nn.ModuleList(layers[below:]))
    top = _with_parts(model, {id(layers): upper, id(model.embeddings): given()})
    top.config = copy.deepcopy(model.config)
    top.config.num_hidden_layers = num_layers - below
    return Lower(_with_parts(model, {id(layers): lower, id(model.embeddings): model.embeddings})), Upper(
        top, upper
    )


def _with_parts(model: Any, parts: dict[int, Any]) -> Any:
    """A copy of the network with other parts in the place of some; weights are shared."""
    shared = {id(weights): weights for weights in (*model.parameters(), *model.buffers())}
    return copy.deepcopy(model, {**shared, **parts})


class _ReachedCutError(Exception):
    """Carries out of a network what reached the cut."""

    def __init__(self, states: Any) -> None:
        super().__init__("the cut")
        self.states = states


@cache
def _stand_ins() -> tuple[Any, Any]:
    """Networks that stand for what is left out: for upper layers, and for embeddings."""
    import torch

    class End(torch.nn.Module):  # type: ignore[misc]
        def __init__(self, like: Any) -> None:
            super().__init__()
            # some networks choose the mask by it
            self.attention_type = getattr(like, "attention_type", None)

        def forward(self, *given: Any, **named: Any) -> Any:
            raise _ReachedCutError(given[0] if given else named["hidden_states"])

    class Given(torch.nn.Module):  # type: ignore[misc]
        def forward(self, *given: Any, inputs_embeds: Any = None, **_named: Any) -> Any:
            # DistilBERT passes it by its place
            found = (inputs_embeds, *given)
            return next(value for value in found if torch.is_tensor(value) and value.is_floating_point())

    return End, Given
