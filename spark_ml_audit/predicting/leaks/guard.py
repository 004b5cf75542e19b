"""Which columns a model learns from: all that can serve but those that bear or reproduce the tags.

Columns that a config names are used whatever they hold; of those that reproduce tags a warning speaks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from spark_ml_audit.arrow.types import type_name
from spark_ml_audit.config import FEATURE_KINDS
from spark_ml_audit.errors import InputError
from spark_ml_audit.frames.features import Features, describe, detected_features, named_features
from spark_ml_audit.frames.ingest import Ingest
from spark_ml_audit.models.features import FeatureSpec
from spark_ml_audit.outcomes.features import FeatureUse, Shortcut
from spark_ml_audit.predicting.leaks.identifiers import number_identifier, text_identifier
from spark_ml_audit.predicting.leaks.judge import MIN_ROWS, Judgement, judge_column
from spark_ml_audit.predicting.leaks.names import (
    named_like_annotator,
    named_like_labels,
    tag_named,
    values_name_annotators,
)
from spark_ml_audit.predicting.leaks.sample import LabelledRows, labelled_rows
from spark_ml_audit.predicting.leaks.values import holds_lists, numbers_of, texts_of

MAX_SHORTCUTS = 30
"""Shortcuts that are listed at most."""

_LISTED = 20


@dataclass(frozen=True)
class GuardedFeatures:
    """Features, and what is to be said of them.

    Attributes:
        features: What models see.
        use: The same for people, with what was left out and why.
        warnings: Sentences on named columns that reproduce tags.
        notes: Sentences on what was found.
        hints: Sentences on what was left out, which outcomes tell in their own way.
    """

    features: Features
    use: FeatureUse
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()


def use_of(spec: FeatureSpec) -> FeatureUse:
    """What a model learned from, where nothing was judged."""
    return FeatureUse({kind: names for kind in FEATURE_KINDS if (names := getattr(spec, kind))})


def found_features(ingest: Ingest, exclude: set[str]) -> GuardedFeatures:
    """All columns that can serve as features, without leaks.

    Args:
        ingest: The source.
        exclude: Columns that are no features anyway: id, labels, group.

    Raises:
        InputError: There is no feature column, or all of them leak.
    """
    types = [(item.name, type_name(item.type)) for item in ingest.schema]
    rows = labelled_rows(ingest, [name for name, _ in types if name not in exclude])
    spec = detected_features(types, exclude, rows.shown)
    kinds = {name: kind for kind in FEATURE_KINDS for name in getattr(spec, kind)}
    judged = {name: _judge(name, kind, rows, ingest) for name, kind in kinds.items()}
    reasons = {name: "; ".join(found) for name, (found, _) in judged.items() if found}
    unread = dict(types)
    left_out = {
        name: reasons.get(name) or f"no model reads its type, {unread[name]}"
        for name, _ in types
        if name in reasons or name in spec.ignored
    }
    kept = _without(spec, reasons)
    if not kept.columns:
        raise _nothing_left(reasons, spec)
    shortcuts = [found.shortcuts for name, (_, found) in judged.items() if name not in reasons]
    use = replace(use_of(kept), left_out=left_out, shortcuts=_surest(shortcuts))
    return GuardedFeatures(
        Features(kept, rows.shown[list(kept.columns)]),
        _with_rows(use, rows),
        notes=(f"features: {describe(kept)}",),
        hints=(f"left out of the features: {_listed(reasons)}",) if reasons else (),
    )


def chosen_features(
    ingest: Ingest, wanted: Mapping[str, Sequence[str] | None], exclude: set[str]
) -> GuardedFeatures:
    """The columns that a config names, with a warning for each that reproduces tags.

    Args:
        ingest: The source.
        wanted: Kind -> columns as in ``source.features``.
        exclude: Columns that are no features: id, labels, group.

    Raises:
        InputError: A column is missing or of the wrong type, or none is named.
    """
    spec = named_features(ingest.schema, wanted, exclude)
    rows = labelled_rows(ingest, spec.columns)
    found = {
        name: judge_column(name, kind, rows.values[name], rows.tags)
        for kind in FEATURE_KINDS
        for name in getattr(spec, kind)
        # of an image only its pixels are read, not where it is
        if name in rows.values and kind != "image"
    }
    warnings = [
        f"Column '{name}' is learned from because source.features names it, though a model that sees it "
        f"repeats the tags, right or wrong: {judgement.reason}."
        for name, judgement in found.items()
        if judgement.reason is not None
    ]
    use = replace(use_of(spec), shortcuts=_surest([judgement.shortcuts for judgement in found.values()]))
    return GuardedFeatures(Features(spec, rows.shown), _with_rows(use, rows), tuple(warnings))


def _judge(name: str, kind: str, rows: LabelledRows, ingest: Ingest) -> tuple[list[str], Judgement]:
    """All reasons for which a column is no feature, and what its values say."""
    values, layout = rows.values[name], ingest.layout
    reasons = [named_like_labels(name, layout.labels), named_like_annotator(name)]
    if kind in ("boolean", "numeric") and _is_flag(numbers_of(values, kind)):
        tag = tag_named(name, layout.classes)
        reasons.append(None if tag is None else f"named like the tag '{tag}'")
    judgement = judge_column(name, kind, values, rows.tags)
    reasons += [judgement.reason, _identifies(name, kind, rows)]
    if kind in ("text", "categorical") and not holds_lists(values):
        texts = [text for text in texts_of(values) if text]
        if values_name_annotators(texts):
            reasons.append("its values name annotators")
    return [reason for reason in reasons if reason is not None], judgement


def _is_flag(values: Any) -> bool:
    return bool(np.isin(values[~np.isnan(values)], (0.0, 1.0)).all())


def _identifies(name: str, kind: str, rows: LabelledRows) -> str | None:
    values = rows.values[name]
    if kind == "numeric":
        return number_identifier(name, numbers_of(values, kind), rows.ids, rows.num_rows)
    if kind not in ("text", "categorical") or holds_lists(values):
        return None
    return text_identifier(texts_of(values), [None if own is None else str(own) for own in rows.ids])


def _without(spec: FeatureSpec, left_out: Mapping[str, str]) -> FeatureSpec:
    """The columns that stay; those of types that no model reads are told of as left out, too."""
    return FeatureSpec(
        **{
            kind: tuple(name for name in getattr(spec, kind) if name not in left_out)
            for kind in FEATURE_KINDS
        }
    )


def _surest(found: Sequence[tuple[Shortcut, ...]]) -> tuple[Shortcut, ...]:
    every = [shortcut for part in found for shortcut in part]
    every.sort(key=lambda it: (-it.precision * it.recall / (it.precision + it.recall), it.column, it.tag))
    return tuple(every[:MAX_SHORTCUTS])


def _with_rows(use: FeatureUse, rows: LabelledRows) -> FeatureUse:
    """The same with how many rows columns were judged by: none where they are too few."""
    enough = rows.tags.num_rows >= MIN_ROWS
    return replace(use, num_rows_judged=rows.tags.num_rows if enough else 0)


def _listed(reasons: Mapping[str, str]) -> str:
    shown = [f"{name} ({reason})" for name, reason in list(reasons.items())[:_LISTED]]
    more = len(reasons) - len(shown)
    return "; ".join([*shown, *([f"and {more} more"] if more else [])])


def _nothing_left(reasons: Mapping[str, str], spec: FeatureSpec) -> InputError:
    kind = next(kind for kind in FEATURE_KINDS if getattr(spec, kind))
    return InputError(
        f"every column that could be a feature bears or reproduces the tags: {_listed(reasons)}.",
        key="source.features",
        fix="Name columns to learn from them all the same, "
        f"for example source.features={{{kind}: [{getattr(spec, kind)[0]}]}}.",
    )
