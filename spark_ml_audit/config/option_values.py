"""Values of options that stand for config keys: how they are read, and how they are printed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import yaml

from spark_ml_audit.config.short_forms import ENGINE, SHORT_FORMS, ShortForm
from spark_ml_audit.config.yaml_loader import Dumper, Loader
from spark_ml_audit.errors import ConfigError
from spark_ml_audit.text import show


def read_value(form: ShortForm, text: str) -> object:
    """The value that a typed text stands for.

    Args:
        form: The option.
        text: What was typed.

    Raises:
        ConfigError: A list cannot be read; its key is the option.

    Example:
        >>> forms = {form.option: form for form in SHORT_FORMS["audit"]}
        >>> labels, classes, out = forms["--labels"], forms["--classes"], forms["--out"]
        >>> read_value(labels, "sea,wood"), read_value(labels, "[sea, wood]"), read_value(labels, "2024")
        (['sea', 'wood'], ['sea', 'wood'], '2024')
        >>> read_value(labels, '"sea,wood"'), read_value(classes, "sea, wood"), read_value(out, "a,b")
        ('sea,wood', ['sea', 'wood'], 'a,b')
    """
    if form.kind == "flag":
        return True
    if form.kind == "text" or (form.kind == "classes" and _is_file(text)):
        return text
    return _as_number(form, text) if form.kind == "number" else _as_names(form, text)


def _as_names(form: ShortForm, text: str) -> object:
    if text.strip() == "null":
        return None
    if text.lstrip().startswith(("[", '"', "'")):
        return _from_yaml(form, text)
    if "," not in text:
        return text
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise ConfigError(
            f"found {show(text)}, a list with an empty name.",
            key=form.option,
            fix=f"Separate the names by single commas, or write a YAML list: {form.option} '[a, b]'.",
        )
    return names


def _as_number(form: ShortForm, text: str) -> object:
    found = _value_of(text)
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise ConfigError(f"found {show(text)}, not a number.", key=form.option, fix="Give a number.")
    return found


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):
        return False


def _from_yaml(form: ShortForm, text: str) -> object:
    found = _value_of(text)
    if found is None:
        raise ConfigError(
            f"found {show(text)}, which is not a list.",
            key=form.option,
            fix=f"Write names between commas ({form.option} a,b), or a YAML list ({form.option} '[a, b]').",
        )
    return found


def _value_of(text: str) -> object:
    """What a text is in YAML; None for what is none."""
    try:
        return yaml.load(text, Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError):
        return None


def write_words(command: str, settings: Mapping[str, object]) -> list[str]:
    """The words of a command line that set keys: by a short form where the command has one, else by --set.

    Args:
        command: Name of the command.
        settings: Dotted key -> value.

    Example:
        >>> write_words("sample", {"output.path": "audits/tags", "sample.how": "random", "sample.seed": 1})
        ['--out', 'audits/tags', '--how', 'random', '--set', 'sample.seed=1']
        >>> write_words("audit", {"source.labels": "a,b", "source.show": ["text"]})
        ['--labels', '"a,b"', '--show', 'text']
        >>> write_words("predict", {"source.labels": ["a"], "source.features": {"text": ["title", "plot"]}})
        ['--labels', '["a"]', '--text', 'title,plot']
    """
    forms = {form.key: form for form in (*SHORT_FORMS.get(command, ()), ENGINE)}
    flat = dict(_flat("", settings, set(forms)))
    words: list[str] = []
    for key, value in flat.items():
        form = forms.get(key)
        if form is not None and form.kind == "flag" and value is True:
            words.append(form.option)
            continue
        text = None if form is None else _written(form, value)
        if form is None or text is None:
            words += ["--set", f"{key}={as_yaml(value)}"]
        else:  # a value that begins like an option belongs to its own
            words += [f"{form.option}={text}"] if text.startswith("-") else [form.option, text]
    return words


def _flat(prefix: str, settings: Mapping[str, object], known: set[str]) -> list[tuple[str, object]]:
    """Dotted keys; a mapping is taken apart where there is a short form of all that is in it."""
    found: list[tuple[str, object]] = []
    for name, value in settings.items():
        key = f"{prefix}{name}"
        below = [f"{key}.{part}" for part in value] if isinstance(value, Mapping) else []
        if below and set(below) <= known and isinstance(value, Mapping):
            found += _flat(f"{key}.", value, known)
        else:
            found.append((key, value))
    return found


def _written(form: ShortForm, value: object) -> str | None:
    """A value as the option reads it; None where it cannot say it."""
    if form.kind == "flag":
        return None
    candidates: list[str] = []
    if isinstance(value, list | tuple):
        names = [str(name) for name in value]
        candidates += [",".join(names), json.dumps(names, ensure_ascii=False)]
        value = names[0] if form.kind == "names" and len(names) == 1 else names
    elif isinstance(value, str):
        candidates += [value, json.dumps(value, ensure_ascii=False)]
    elif value is not None and not isinstance(value, bool | Mapping):
        candidates.append(str(value))
    return next((text for text in candidates if text and _means(form, text, value)), None)


def _means(form: ShortForm, text: str, value: object) -> bool:
    try:
        return read_value(form, text) == value
    except ConfigError:
        return False


def as_yaml(value: object) -> str:
    """A value on one line, as `--set` reads it; a text as it is, where that means this text.

    >>> as_yaml("films"), as_yaml("2026"), as_yaml({"text": ["title"]})
    ('films', '"2026"', '{text: [title]}')
    """
    if isinstance(value, str):
        return value if _value_of(value) == value else json.dumps(value, ensure_ascii=False)
    text: str = yaml.dump(value, Dumper=Dumper, default_flow_style=True, allow_unicode=True, width=1_000_000)
    return text.strip().removesuffix("...").strip()
