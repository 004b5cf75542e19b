"""The section `gate`: limits on what a run found, each with what happens when it is broken.

A limit is written as a number, or as a mapping where it needs more: `{limit: 0.1, severity: warn}`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, PlainSerializer, model_serializer

from spark_ml_audit.config.base import Section
from spark_ml_audit.config.fields import MAX_COUNT, AnyText, Count, Fraction, also, problem, repeated
from spark_ml_audit.text import show

Severity = Literal["warn", "fail"]
NoiseKind = Literal["missing", "extraneous", "both"]

_FRACTION = "a number from 0 to 1"
_COUNT = "a whole number of 0 or more"
_RATIO = "a number from 0 to a million"
_MAX_RATIO = 1e6
_LONG = ", or a mapping such as {limit: ..., severity: warn}"


class _Limit(Section):
    """What all limits share.

    Attributes:
        severity: Whether a broken limit fails the run (exit status 3) or is only reported.
    """

    severity: Annotated[Severity, Field(description="warn or fail")] = "fail"

    @model_serializer(mode="plain")
    def _shortest(self) -> Any:
        """The number alone where nothing else is said, so that configs read back as they were written."""
        said = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in self
            if name == "limit" or value != type(self).model_fields[name].default
        }
        return said["limit"] if set(said) == {"limit"} else said


class FractionLimit(_Limit):
    """A limit on a share.

    Attributes:
        limit: From 0 to 1.
    """

    limit: Annotated[Fraction, Field(description=_FRACTION)]


class CountLimit(_Limit):
    """A limit on a number of rows.

    Attributes:
        limit: 0 or more.
    """

    limit: Annotated[Count, Field(description=_COUNT)]


class RatioLimit(_Limit):
    """A limit on a quotient.

    Attributes:
        limit: From 0 to a million.
    """

    limit: Annotated[float, Field(ge=0, le=_MAX_RATIO, description=_RATIO)]


def _class_names(value: object) -> object:
    if not isinstance(value, list | tuple):
        return value
    if not value:
        raise problem("names no class.", "Name tags, or write null for all classes.")
    for position, name in enumerate(value):
        if not isinstance(name, str):
            raise problem(
                f"entry {position + 1} is {show(name)}, not the name of a tag.",
                "Put tag names that read as numbers or booleans in quotes.",
            )
    twice = repeated(tuple(value))
    if twice is not None:
        raise problem(f"names the class {show(twice)} twice.", "Name every class once.")
    return tuple(value)


class NoiseLimit(FractionLimit):
    """A limit on the noise of classes.

    Attributes:
        kind: Which cells count: flagged missing, flagged extraneous, or both together.
        classes: Tags the limit is for; None for all.
    """

    kind: Annotated[NoiseKind, Field(description="missing, extraneous or both")] = "both"
    classes: Annotated[
        tuple[AnyText, ...] | None,
        BeforeValidator(_class_names),
        Field(description="a list of tag names, or null for all"),
    ] = None


_AnyLimit = TypeVar("_AnyLimit", bound=_Limit)


def _is_limit(value: object) -> bool:
    return value is None or isinstance(value, Mapping | _Limit)


def _short_or_long(wanted: str, fits: Callable[[float], bool]) -> BeforeValidator:
    """Accept a limit's number in place of its mapping."""

    def check(value: object) -> object:
        return value if _is_limit(value) else {"limit": _number(value, wanted, fits)}

    return BeforeValidator(check)


def _number(value: object, wanted: str, fits: Callable[[float], bool]) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not fits(value):
        raise problem(
            f"found {show(value)}, which is not {wanted}, or null.",
            f"Set it to {wanted}{_LONG}, or null." + _unquote(value),
        )
    return value


def _unquote(value: object) -> str:
    return " Write it without quotes." if isinstance(value, str) else ""


def _is_fraction(value: float) -> bool:
    return 0 <= value <= 1


def _is_count(value: float) -> bool:
    return isinstance(value, int) and 0 <= value <= MAX_COUNT


def _is_ratio(value: float) -> bool:
    return 0 <= value <= _MAX_RATIO


def _noise_limits(value: object) -> object:
    """Accept null, a number, a mapping, or a list of both kinds."""
    if value is None:
        return ()
    listed = value if isinstance(value, list | tuple) else [value]
    return tuple(
        item if isinstance(item, Mapping | _Limit) else {"limit": _number(item, _FRACTION, _is_fraction)}
        for item in listed
    )


def _show_noise_limits(limits: tuple[NoiseLimit, ...]) -> object:
    shown = [limit.model_dump(mode="json") for limit in limits]
    return shown[0] if len(shown) == 1 else shown or None


_SHORT_FRACTION: dict[str, object] = {"type": "number", "minimum": 0, "maximum": 1}

_Fraction = Annotated[
    FractionLimit | None,
    _short_or_long(_FRACTION, _is_fraction),
    Field(description=f"{_FRACTION}, or null", json_schema_extra=also(_SHORT_FRACTION)),
]
_Count = Annotated[
    CountLimit | None,
    _short_or_long(_COUNT, _is_count),
    Field(description=f"{_COUNT}, or null", json_schema_extra=also({"type": "integer", "minimum": 0})),
]
_Ratio = Annotated[
    RatioLimit | None,
    _short_or_long(_RATIO, _is_ratio),
    Field(description=f"{_RATIO}, or null", json_schema_extra=also({"type": "number", "minimum": 0})),
]


def _noise_schema(schema: dict[str, Any]) -> None:
    one = [schema.pop("items"), _SHORT_FRACTION]
    del schema["type"]
    schema["anyOf"] = [*one, {"type": "array", "items": {"anyOf": one}}, {"type": "null"}]


_Noise = Annotated[
    tuple[NoiseLimit, ...],
    BeforeValidator(_noise_limits),
    PlainSerializer(_show_noise_limits),
    Field(
        description="a number from 0 to 1, a mapping, a list of these, or null",
        json_schema_extra=_noise_schema,
    ),
]


class GateConfig(Section):
    """Limits on what a run found; a broken one of severity fail ends in exit status 3. None leaves one out.

    The noise of a class is the share of audited rows whose cell of that class is flagged.

    Attributes:
        max_issue_fraction: Largest share of audited rows with an issue, 0..1.
        max_quarantined_fraction: Largest share of source rows rejected, 0..1.
        min_rows: Least number of source rows.
        max_class_noise: Largest noise of a class, 0..1; several limits may stand side by side.
        max_issue_increase: Largest growth of the issue share against the previous run of the same source.
        max_class_noise_increase: Largest growth of a class's noise against that run.
        min_macro_auc: Least mean AUC of the probabilities against the given tags.
        min_macro_average_precision: Least mean average precision of the same.
        min_lift: Least ratio of that mean average precision to the mean prevalence of the tags, which a
            model that looks at no row would reach.
    """

    max_issue_fraction: _Fraction = None
    max_quarantined_fraction: _Fraction = FractionLimit(limit=0.0)
    min_rows: _Count = CountLimit(limit=0)
    max_class_noise: _Noise = ()
    max_issue_increase: _Fraction = None
    max_class_noise_increase: _Noise = ()
    min_macro_auc: _Fraction = None
    min_macro_average_precision: _Fraction = None
    min_lift: _Ratio = None
