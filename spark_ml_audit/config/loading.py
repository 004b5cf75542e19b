"""Config files and command-line overrides read into one checked config."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import yaml

from spark_ml_audit.config.audit import AuditConfig
from spark_ml_audit.config.base import Section
from spark_ml_audit.config.short_forms import Given
from spark_ml_audit.config.yaml_loader import Loader
from spark_ml_audit.errors import ConfigError
from spark_ml_audit.text import redact, show

_Config = TypeVar("_Config", bound=Section)
_KEY = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")


def load_config(
    path: str | None, overrides: Sequence[str] = (), *, base: Mapping[str, object] | None = None
) -> AuditConfig:
    """Read the config of an audit.

    Args:
        path: YAML file, or None where overrides say everything.
        overrides: Texts ``dotted.key=value`` with YAML values, applied in order after the file.
        base: Values below the file's, for callers with defaults of their own.

    Raises:
        ConfigError: With the dotted key, the value found and the fix.

    Example:
        >>> config = load_config(None, ["source.path=data/films", "output.path=audits", "audit.alpha=0.9"])
        >>> config.source.path, config.audit.alpha, config.audit.filter_by
        ('data/films', 0.9, 'prune_by_noise_rate')
    """
    return load_as(AuditConfig, path, overrides, base=base)


def load_as(
    config: type[_Config],
    path: str | None,
    overrides: Sequence[str] = (),
    *,
    base: Mapping[str, object] | None = None,
) -> _Config:
    """Read the config of any command; see `load_config`.

    >>> from spark_ml_audit.config import CompareConfig
    >>> base = {"output": {"path": "audits"}, "tracking": {"experiment": "films"}}
    >>> config = load_as(CompareConfig, None, ["tracking.experiment=books"], base=base)
    >>> config.output.path, config.tracking.experiment
    ('audits', 'books')
    """
    return parse_as(config, read_values(path, overrides, base=base))


def read_values(
    path: str | None,
    overrides: Sequence[str] = (),
    *,
    base: Mapping[str, object] | None = None,
    given: Sequence[Given] = (),
) -> dict[str, object]:
    """Read a file and what overrides it, unchecked: what `parse_as` takes.

    Args:
        path: YAML file, or None.
        overrides: As for `load_config`.
        base: As for `load_config`.
        given: Values of options that stand for keys; they override the file as `--set` does.

    Raises:
        ConfigError: The file or an override cannot be read, or an option and --set give a key two values.

    Example:
        >>> read_values(None, ["audit.alpha=0.9"], given=[Given("--id", "source.id", "film")])
        {'audit': {'alpha': 0.9}, 'source': {'id': 'film'}}
        >>> try:
        ...     read_values(None, ["source.id=book"], given=[Given("--id", "source.id", "film")])
        ... except ConfigError as error:
        ...     print(error)
        --id: found 'film', but --set source.id gives 'book'. Give one of the two.
    """
    values: dict[str, object] = copy.deepcopy(dict(base)) if base else {}
    if path is not None:
        _merge(values, _read_file(path))
    for item in given:
        _make_way(values, item)
    set_apart: dict[str, object] = {}
    for override in overrides:
        _apply(values, override)
        _apply(set_apart, override)
    for item in given:
        known, other = _value_at(set_apart, item.key)
        if known and other != item.value:
            raise ConfigError(
                f"found {show(item.value)}, but --set {item.key} gives {show(other)}.",
                key=item.option,
                fix="Give one of the two.",
            )
        _put(values, item.key, item.value)
    return values


def _make_way(values: dict[str, object], item: Given) -> None:
    """Take out of the file's sections what does not count beside an option."""
    for key in item.replaces:
        section, _, name = key.rpartition(".")
        known, keys = _value_at(values, section)
        if known and isinstance(keys, dict) and name in keys:
            _put(values, section, {other: value for other, value in keys.items() if other != name})
    above = item.key.rpartition(".")[0]
    known, keys = _value_at(values, above)
    if known and isinstance(keys, str) and "." in above:  # as `auto` for source.features
        _put(values, above, {})


def _value_at(values: Mapping[str, object], key: str) -> tuple[bool, object]:
    """Whether a dotted key has a value, and which; a text where a mapping is expected is one."""
    current: object = values
    for name in key.split("."):
        if not isinstance(current, Mapping):
            return current is not None, current
        if name not in current:
            return False, None
        current = current[name]
    return True, current


def parse_config(values: Mapping[str, object]) -> AuditConfig:
    """Check a config given as a mapping of sections; see `load_config`.

    >>> values = {"source": {"path": "data/films"}, "output": {"path": "audits"}}
    >>> try:
    ...     parse_config({**values, "audit": {"frac_noise": 2}})
    ... except ConfigError as error:
    ...     print(f"{error.key}: {error.message}")
    audit.frac_noise: found 2, which is not a number from 0 to 1.
    """
    return parse_as(AuditConfig, values)


def parse_as(config: type[_Config], values: Mapping[str, object]) -> _Config:
    """Check the config of any command, given as a mapping of sections.

    >>> from spark_ml_audit.config import CompareConfig
    >>> try:
    ...     parse_as(CompareConfig, {})
    ... except ConfigError as error:
    ...     print(f"{error.key}: {error.message}")
    output.path: no output is given.
    """
    if not isinstance(values, Mapping):
        raise _not_a_mapping("the config", values)
    sections = dict(values)
    for name, field in config.model_fields.items():
        is_optional = not field.is_required() and field.default is None
        if sections.get(name) is None and not is_optional:
            sections[name] = {}  # so that what is missing within is reported, not the section
    return config.parse(sections)


def _read_file(path: str) -> dict[str, object]:
    shown = show(path)
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"the file {shown} is not UTF-8 (byte {error.start}).", key="--config", fix="Save it as UTF-8."
        ) from None
    except FileNotFoundError:
        raise ConfigError(
            f"there is no file {shown}.", key="--config", fix="Give the path of a YAML file."
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(
            f"the file {shown} cannot be read: {reason}.",
            key="--config",
            fix="Give the path of a readable YAML file.",
        ) from None
    values = _parse_yaml(text, "--config", f"the file {shown}")
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise _not_a_mapping(f"the file {shown}", values, "--config")
    return values


def _not_a_mapping(what: str, values: object, key: str | None = None) -> ConfigError:
    return ConfigError(
        f"{what} holds {show(values)}, not a mapping of sections.",
        key=key,
        fix="Write sections such as `source:` with their keys indented below.",
    )


def _parse_yaml(text: str, key: str, what: str, place: str = "") -> object:
    """Read one YAML document of plain values."""
    try:
        loader = Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _NodeCheck(key, what).visit(node, place)
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        reason = redact(" ".join(str(error.problem or error.context or "unreadable").split()))[:200]
        fix = "Correct the YAML; texts with special characters go in quotes."
        if isinstance(error, yaml.constructor.ConstructorError):
            fix = "Use plain values only: texts, numbers, true, false, null, lists and mappings."
        raise ConfigError(f"{what} is not usable YAML{where}: {reason}.", key=key, fix=fix) from None
    except (yaml.YAMLError, ValueError, TypeError, OverflowError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ConfigError(
            f"{what} is not usable YAML: {redact(reason)}.", key=key, fix="Correct or quote that value."
        ) from None


class _NodeCheck:
    """Refuses keys given twice, which YAML readers let pass, and values that contain themselves."""

    def __init__(self, key: str, what: str) -> None:
        self._key = key
        self._what = what
        self._open: set[int] = set()
        self._done: set[int] = set()  # aliased nodes are visited once, however often they are used

    def visit(self, node: yaml.Node, place: str = "") -> None:
        if isinstance(node, yaml.ScalarNode) or id(node) in self._done:
            return
        if id(node) in self._open:
            raise ConfigError(
                f"{self._what} holds a value that contains itself.",
                key=place or self._key,
                fix="Remove the alias.",
            )
        self._open.add(id(node))
        if isinstance(node, yaml.MappingNode):
            self._visit_mapping(node, place)
        else:
            for item in node.value:
                self.visit(item, place)
        self._open.discard(id(node))
        self._done.add(id(node))

    def _visit_mapping(self, node: yaml.MappingNode, place: str) -> None:
        lines: dict[str, int] = {}
        for name, item in node.value:
            text = name.value if isinstance(name, yaml.ScalarNode) else ""
            below = f"{place}.{text}" if place else text
            line = name.start_mark.line + 1
            if text and text in lines:
                raise ConfigError(
                    f"{self._what} gives this key twice, in lines {lines[text]} and {line}.",
                    key=below,
                    fix="Keep one of the two.",
                )
            lines[text] = line
            self.visit(item, below)


def _merge(values: dict[str, object], more: Mapping[str, object]) -> None:
    """Lay a file's sections over the base's, key by key."""
    for name, section in more.items():
        below = values.get(name)
        if isinstance(below, dict) and isinstance(section, dict):
            below.update(section)
        elif section is not None or name not in values:
            values[name] = section


def _apply(values: dict[str, object], override: str) -> None:
    """Set one ``dotted.key=value``; the key itself is checked with the rest of the config."""
    key, equals, text = override.partition("=")
    key = key.strip()
    if not equals or not _KEY.fullmatch(key):
        raise ConfigError(
            f"found {show(override)}, not key=value.",
            key="--set",
            fix="Write the dotted key, an equals sign and a YAML value, for example --set audit.alpha=0.9",
        )
    _put(values, key, _parse_yaml(text, key, f"the value {show(text)} of --set", key))


def _put(values: dict[str, object], key: str, value: object) -> None:
    *sections, last = key.split(".")
    current = values
    for depth, name in enumerate(sections):
        below = current.get(name)
        if below is None:
            below = {}
        elif not isinstance(below, dict):
            raise ConfigError(
                f"is set, but {'.'.join(sections[: depth + 1])} is {show(below)}, not a mapping.",
                key=key,
                fix="Check the dotted key; sections hold keys, keys hold values.",
            )
        else:
            below = dict(below)  # an aliased section of the file is changed in this place only
        current[name] = below
        current = below
    current[last] = value
