"""Validation errors turned into one sentence that names the key, the value found and the fix."""

from __future__ import annotations

from typing import get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from spark_ml_audit.config.fields import PROBLEM
from spark_ml_audit.errors import ConfigError
from spark_ml_audit.text import show, suggest

_UNKNOWN = ("extra_forbidden", "invalid_key")


def explain(error: ValidationError, model: type[BaseModel], prefix: str) -> ConfigError:
    """Choose the error to report and word it.

    An unknown key comes first: a misspelt key is often the cause of what else is wrong.

    >>> class Method(BaseModel, extra="forbid"):
    ...     alpha: float = 0.8
    >>> try:
    ...     Method.model_validate({"alhpa": 0.9})
    ... except ValidationError as error:
    ...     print(explain(error, Method, "audit"))
    audit.alhpa: unknown key. Did you mean alpha? Keys of audit: alpha.
    """
    details = error.errors(include_url=False)
    detail = next((item for item in details if item["type"] in _UNKNOWN), details[0])
    loc: tuple[int | str, ...] = detail["loc"]
    if detail["type"] in _UNKNOWN:
        return _unknown_key(loc, model, prefix)
    value, context = detail.get("input"), detail.get("ctx") or {}
    key = _dotted(prefix, loc)
    if detail["type"] == PROBLEM:
        at = context.get("at") or ""
        key = ".".join(part for part in (key, at) if part)
        return ConfigError(context["message"], key=key or None, fix=context["fix"])
    field = _field(model, loc)
    if detail["type"] in ("model_type", "model_attributes_type", "dict_type"):
        return ConfigError(
            f"found {show(value)}, where a mapping of keys is needed.",
            key=key or None,
            fix="Write its keys below it, indented, one `key: value` per line.",
        )
    choices = _choices(field)
    if choices:
        near = suggest(value, choices) if isinstance(value, str) else ""
        return ConfigError(
            f"found {show(value)}, which is not one of its values.",
            key=key,
            fix=f"{near}Choose one of: {', '.join(choices)}.",
        )
    wanted = _wanted(field) or "another value"
    fix = f"Set {key} to {wanted}."
    if detail["type"] == "missing":  # the input of this error is the section around it
        return ConfigError(
            "it is not given.", key=key, fix=fix if _wanted(field) else f"Write {key} with its keys."
        )
    if detail["type"] == "string_type" and isinstance(value, int | float):
        fix += " A text that reads as a number or boolean goes in quotes."
    if isinstance(value, str) and detail["type"] in ("float_type", "int_type", "bool_type"):
        fix += " Write it without quotes."
    return ConfigError(f"found {show(value)}, which is not {wanted}.", key=key, fix=fix)


def _unknown_key(loc: tuple[int | str, ...], model: type[BaseModel], prefix: str) -> ConfigError:
    name = str(loc[-1])
    owner = _model(model, loc[:-1])
    place = _dotted(prefix, loc[:-1])
    allowed = _names(owner)
    near = suggest(name, allowed)
    if not near:
        elsewhere = _elsewhere(name, model)
        near = f"Did you mean {elsewhere}? " if elsewhere else ""
    where = f"Keys of {place}" if place else "Sections"
    return ConfigError(
        "unknown key.",
        key=_dotted(prefix, (*loc[:-1], name if name.isprintable() and len(name) <= 80 else show(name))),
        fix=f"{near}{where}: {', '.join(allowed)}.",
    )


def _elsewhere(name: str, model: type[BaseModel]) -> str:
    """Find a key of that name in another section."""
    for section, field in model.model_fields.items():
        inner = _section(field)
        if inner is not None and name in _names(inner):
            return f"{section}.{name}"
    return ""


def keys_of(config: type[BaseModel]) -> dict[str, tuple[str, ...]]:
    """The sections of a command's config, each with the dotted keys below it.

    >>> from spark_ml_audit.config import CompareConfig
    >>> keys_of(CompareConfig)["engine"]
    ('kind', 'memory', 'spill')
    """
    sections = {name: _section(field) for name, field in config.model_fields.items()}
    return {name: tuple(_below(section)) for name, section in sections.items() if section is not None}


def _below(model: type[BaseModel]) -> list[str]:
    found = []
    for name, field in model.model_fields.items():
        key, inner = field.alias or name, _section(field)
        found += [key, *([] if inner is None else [f"{key}.{below}" for below in _below(inner)])]
    return found


def _names(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _field(model: type[BaseModel], loc: tuple[int | str, ...]) -> FieldInfo | None:
    """Find the field a location lies in, through nested sections."""
    found: FieldInfo | None = None
    current: type[BaseModel] | None = model
    for part in loc:
        if isinstance(part, int):
            continue  # an entry of a list is described as the list is
        if current is None:
            break
        fields = current.model_fields
        found = next((field for name, field in fields.items() if (field.alias or name) == part), None)
        current = _section(found)
    return found


def _model(model: type[BaseModel], loc: tuple[int | str, ...]) -> type[BaseModel]:
    return _section(_field(model, loc)) or model


def _section(field: FieldInfo | None) -> type[BaseModel] | None:
    """Return the section a field holds, also where it may be null."""
    annotation = field.annotation if field is not None else None
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def _wanted(field: FieldInfo | None) -> str:
    """What a field should hold, in words; also where they stand at one of the kinds it may be."""
    if field is None:
        return ""
    metadata = [item for kind in get_args(field.annotation) for item in getattr(kind, "__metadata__", ())]
    said = [field.description, *(item.description for item in metadata if isinstance(item, FieldInfo))]
    return next((text for text in said if text), "")


def _choices(field: FieldInfo | None) -> list[str]:
    values = get_args(field.annotation) if field is not None else ()
    return list(values) if values and all(isinstance(value, str) for value in values) else []


def _dotted(prefix: str, loc: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in ((prefix, *loc) if prefix else loc))
