"""The arguments that say what is flagged and how it is ranked, checked; what would be ignored is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from spark_ml_audit.arrays.label_lists import IntArray
from spark_ml_audit.errors import ConfigError
from spark_ml_audit.kernels.cell_scores import CELL_SCORES
from spark_ml_audit.kernels.cutoffs import EXAMPLE_FILTERS
from spark_ml_audit.kernels.pruning import RANK_FILTERS
from spark_ml_audit.kernels.resolve import PruneOptions

FILTERS = (*RANK_FILTERS, "confident_learning", "predicted_neq_given", *EXAMPLE_FILTERS)
"""Values of `filter_by`."""

_RANKED = ", ".join(RANK_FILTERS)


def choice(name: str, value: Any, allowed: tuple[str, ...]) -> str:
    """One of some names.

    Raises:
        ConfigError: It is none of them.
    """
    if not isinstance(value, str) or value not in allowed:
        raise ConfigError(f"found {value!r}.", key=name, fix=f"Choose one of {', '.join(allowed)}.")
    return value


def yes_or_no(name: str, value: Any) -> bool:
    """True or False.

    Raises:
        ConfigError: It is something else.
    """
    if not isinstance(value, bool | np.bool_):
        raise ConfigError(f"found {value!r}.", key=name, fix="Give True or False.")
    return bool(value)


def refuse_low_memory(low_memory: Any) -> None:
    """There is one way, and it takes little memory.

    Raises:
        ConfigError: Another one is asked for.
    """
    if yes_or_no("low_memory", low_memory):
        raise ConfigError(
            "there is no approximate way here.",
            key="low_memory",
            fix="Leave it out: the exact result takes little memory beside the arrays. In kind cleanlab's is "
            "nearest to filter_by='low_self_confidence' of find_multilabel_issues_per_class.",
        )


def prune_options(
    filter_by: Any,
    frac_noise: Any,
    num_to_remove_per_class: Any,
    min_examples_per_class: Any,
    num_classes: int,
) -> PruneOptions:
    """Which cells are flagged; with an example-level filter those of confident learning.

    Raises:
        ConfigError: An argument has no such value, or the filter has no use for it.
    """
    choice("filter_by", filter_by, FILTERS)
    if isinstance(frac_noise, bool) or not isinstance(frac_noise, int | float | np.number):
        raise ConfigError(f"found {frac_noise!r}.", key="frac_noise", fix="Give a number from 0 to 1.")
    if not 0 <= frac_noise <= 1:
        raise ConfigError(f"found {frac_noise}.", key="frac_noise", fix="Give a number from 0 to 1.")
    least = _whole("min_examples_per_class", min_examples_per_class)
    if filter_by not in RANK_FILTERS:
        _refuse_unused("frac_noise", frac_noise != 1, filter_by)
        _refuse_unused("min_examples_per_class", least != 1, filter_by)
        _refuse_unused("num_to_remove_per_class", num_to_remove_per_class is not None, filter_by)
    removed = None
    if num_to_remove_per_class is not None:
        if filter_by != "prune_by_noise_rate":
            raise ConfigError(
                f"it has no use with filter_by={filter_by!r}.",
                key="num_to_remove_per_class",
                fix="Leave one of them out: only prune_by_noise_rate takes counts.",
            )
        removed = _counts(num_to_remove_per_class, num_classes)
    return PruneOptions(
        filter_by=filter_by if filter_by not in EXAMPLE_FILTERS else "confident_learning",
        frac_noise=float(frac_noise),
        min_examples_per_class=least,
        num_to_remove_per_class=removed,
    )


def joint_of(confident_joint: Any, filter_by: str, num_classes: int) -> IntArray | None:
    """The confident joint given in place of the estimated one, shape (K, 2, 2).

    Raises:
        ConfigError: It has another shape, holds no counts, or the filter has no use for it.
    """
    if confident_joint is None:
        return None
    _refuse_unused("confident_joint", filter_by not in RANK_FILTERS, filter_by)
    fix = (
        "Give counts by [class, given, true], as count.compute_confident_joint(multi_label=True) of cleanlab."
    )
    joint = np.asarray(confident_joint)
    wanted = (num_classes, 2, 2)
    if joint.shape != wanted:
        raise ConfigError(
            f"its shape is {joint.shape}, it should be {wanted}.", key="confident_joint", fix=fix
        )
    counts_only = joint.dtype.kind in "iuf" and bool((np.isfinite(joint) & (joint == np.rint(joint))).all())
    if not counts_only or (joint < 0).any():
        raise ConfigError(
            "it holds what is no count of examples.",
            key="confident_joint",
            fix=fix,
        )
    return joint.astype(np.int64)


def rank_options(return_indices_ranked_by: Any, rank_by_kwargs: Any) -> tuple[str | None, bool]:
    """By which cell score indices are ranked (None: a mask is wanted), and whether of adjusted probabilities.

    Raises:
        ConfigError: There is no such score, or an option it does not take.
    """
    given = {} if rank_by_kwargs is None else rank_by_kwargs
    if not isinstance(given, Mapping):
        raise ConfigError(f"found {given!r}.", key="rank_by_kwargs", fix="Give a dict.")
    if return_indices_ranked_by is None:
        if given:
            raise ConfigError(
                "nothing is ranked.", key="rank_by_kwargs", fix="Say by what: return_indices_ranked_by."
            )
        return None, False
    method = choice("return_indices_ranked_by", return_indices_ranked_by, CELL_SCORES)
    refuse_unknown("rank_by_kwargs", given, ("adjust_pred_probs",))
    adjust = yes_or_no("rank_by_kwargs['adjust_pred_probs']", given.get("adjust_pred_probs", False))
    refuse_adjusted_entropy(method, adjust)
    return method, adjust


def refuse_adjusted_entropy(method: str, adjust: bool) -> None:
    """Adjusted probabilities have no entropy score.

    Raises:
        ConfigError: One is asked for.
    """
    if adjust and method == "confidence_weighted_entropy":
        raise ConfigError(
            "confidence_weighted_entropy does not go with it.",
            key="adjust_pred_probs",
            fix="Choose self_confidence or normalized_margin, or leave it out.",
        )


def refuse_unknown(name: str, given: Mapping[str, Any], known: tuple[str, ...]) -> None:
    """Entries that nobody would look at.

    Raises:
        ConfigError: There is one.
    """
    for entry in given:
        if entry not in known:
            raise ConfigError(
                f"{entry!r} would have no effect.", key=name, fix=f"It takes {', '.join(known) or 'nothing'}."
            )


def names_of(class_names: Any, num_classes: int) -> list[Any] | None:
    """A name for every class, in the order of their indices; None without names.

    Raises:
        ConfigError: There are more or fewer names than classes.
    """
    if class_names is None:
        return None
    if isinstance(class_names, str):
        raise ConfigError(f"found {class_names!r}.", key="class_names", fix="Give a list of names.")
    if isinstance(class_names, Mapping):
        missing = [k for k in range(num_classes) if k not in class_names]
        if missing:
            raise ConfigError(f"class {missing[0]} has no name.", key="class_names", fix="Name every class.")
        return [class_names[k] for k in range(num_classes)]
    names = list(class_names)
    if len(names) != num_classes:
        raise ConfigError(
            f"there are {len(names)} names for {num_classes} classes.",
            key="class_names",
            fix="Name every class, in the order of the probabilities' columns.",
        )
    return names


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
        raise ConfigError(f"found {value!r}.", key=name, fix="Give a whole number, 0 or more.")
    return int(value)


def _counts(values: Any, num_classes: int) -> tuple[int, ...]:
    name = "num_to_remove_per_class"
    try:
        counts = tuple(_whole(name, value) for value in values)
    except TypeError:
        raise ConfigError(f"found {values!r}.", key=name, fix="Give a whole number per class.") from None
    if len(counts) != num_classes:
        raise ConfigError(
            f"it has {len(counts)} entries, there are {num_classes} classes.",
            key=name,
            fix="Give a whole number per class.",
        )
    return counts


def _refuse_unused(name: str, is_given: bool, filter_by: str) -> None:
    if is_given:
        raise ConfigError(
            f"it has no use with filter_by={filter_by!r}.",
            key=name,
            fix=f"Leave it out, or filter by one of {_RANKED}.",
        )
