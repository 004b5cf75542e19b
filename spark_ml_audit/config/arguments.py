"""What is refused, said in the words of Python: keys of configs become arguments of functions.

Checks and their messages are written once, in the words of a config. A function of the package has the same
options as keyword arguments, so its errors are put into other words on their way out, here alone.
"""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import ParamSpec, TypeVar

import yaml

from spark_ml_audit.config.yaml_loader import Loader
from spark_ml_audit.errors import AuditError

P = ParamSpec("P")
T = TypeVar("T")

_RENAMED = {
    "source.path": "data",
    "source.table": "data",
    "engine.kind": "engine",
    "tracking.uri": "tracking_uri",
}
# Sections that are one argument, a dict; those that are none give their keys as arguments.
_DICTS = ("detect", "features")
_LITERALS = {"null": "None", "true": "True", "false": "False"}
# Texts in quotes are from data or are paths: whatever stands in them stays.
_COMMAND = r"(`spark-ml-audit [^`]*`|(?<!`)spark-ml-audit [a-z]+ --.*)"
_QUOTED = r"(?<![\w'])'[^']*'(?!\w)|\"[^\"]*\""

_Words = str | Callable[[re.Match[str]], str]
_PHRASES: tuple[tuple[str, _Words], ...] = (
    (
        r"Give --out DIR, or set output\.path or output\.schema in the --config file or with --set\.",
        "Pass path= or schema=.",
    ),
    (
        r"Name a file, folder or table behind the command [^)]*\), or set source\.path or source\.table "
        r"in the --config file\.",
        "Pass a path or the name of a table.",
    ),
    (r"; null unsets a key \(--set [^)]*\)", ""),
    (r" \(--[\w-]+(?: \w+)?\)", ""),
    (r"--set ((?:'[^']*'|\\.|[^\s'\\])+)", lambda found: _as_passed(found[1])),
    (r", which YAML does not read as text", ", which is no text"),
    (
        r"Put (tag|column) names that read as numbers[^\"]*in quotes, for example .*\.$",
        r"Give \1 names as texts, for example '2024'.",
    ),
    (r" A text that reads as a number or boolean goes in quotes\.", " Give it as a text (str)."),
    (r" Write it without quotes\.", " Do not give it as a text (str)."),
    (r"Write its keys below it, indented, one `key: value` per line\.", "Give a dict."),
    (
        r"Add the section source of the table \(path or table, id, labels, pred_probs\)",
        "Pass source= as a dict of path or table, id, labels and pred_probs",
    ),
    (
        r"\b(found|or|to|\w+_\w+ is|entry \d+ is) (null|true|false)\b",
        lambda found: f"{found[1]} {_LITERALS[found[2]]}",
    ),
    (r"\btrue or (?=False\b)", "True or "),
    (r"\bwith (\w+): (\w+)\b", r"with \1='\2'"),
)


def in_python(
    renamed: Mapping[str, str] | None = None, dicts: tuple[str, ...] = ()
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Have the errors of a function name its arguments instead of keys of configs.

    Args:
        renamed: Key -> argument, where the argument is not called like the last part of the key.
        dicts: Sections that are one argument of it, a dict.

    Example:
        >>> from spark_ml_audit.config import MethodConfig
        >>> from spark_ml_audit.errors import ConfigError
        >>> def score(**options: object) -> object:
        ...     return MethodConfig.from_arguments(**options)
        >>> for function in (score, in_python()(score)):
        ...     try:
        ...         function(frac_noise=2)
        ...     except ConfigError as error:
        ...         print(error.key, error.fix, sep=": ")
        audit.frac_noise: Set audit.frac_noise to a number from 0 to 1.
        frac_noise: Give frac_noise as a number from 0 to 1.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(function)
        def called(*arguments: P.args, **named: P.kwargs) -> T:
            try:
                return function(*arguments, **named)
            except AuditError as error:
                said = _reworded(error, renamed or {}, dicts).with_traceback(error.__traceback__)
                raise said from error.__cause__

        return called

    return decorate


def said_in_python(sentence: str) -> str:
    """A sentence that names keys of configs, naming arguments.

    >>> said_in_python("classes: 3, from source.classes")
    'classes: 3, from classes'
    """
    return _Speaker(_RENAMED, _DICTS).text(sentence)


def _reworded(error: AuditError, renamed: Mapping[str, str], dicts: tuple[str, ...]) -> AuditError:
    words = _Speaker({**_RENAMED, **renamed}, (*_DICTS, *dicts))
    key = None if error.key is None else words.argument(error.key)
    message, fix = words.text(error.message), words.text(error.fix)
    if message == "unknown key." and key is not None and "[" not in key:
        message, fix = "unknown argument.", re.sub(r"\bKeys of (\w+):", "Options:", fix)
    return type(error)(message, key=key, fix=fix)


class _Speaker:
    """Keys and sentences of configs as those of Python."""

    def __init__(self, renamed: Mapping[str, str], dicts: tuple[str, ...]) -> None:
        self._renamed = renamed
        self._dicts = dicts
        keys = "|".join(re.escape(key) for key in sorted(_known_keys(), key=len, reverse=True))
        self._key = rf"(?<![\w./-])(?:{keys})(?![\w-])(?!\.\w)"

    def argument(self, key: str) -> str:
        """A key as a function's argument, or as a place in one that is a dict."""
        section, *parts = key.split(".")
        if section in self._dicts:
            return section + "".join(f"[{part!r}]" for part in parts)
        if key in self._renamed or not parts or section not in _sections():
            return self._renamed.get(key, key)
        name, *inner = parts
        return name + "".join(f"[{part!r}]" for part in inner) if name in self._dicts else ".".join(parts)

    def text(self, sentence: str) -> str:
        """A message or a fix in the words of Python."""
        return "".join(self._spoken(part) for part in re.split(_COMMAND, sentence))

    def _spoken(self, sentence: str) -> str:
        if re.fullmatch(_COMMAND, sentence):
            return sentence  # to be typed as it is
        for pattern, words in _PHRASES:
            sentence = re.sub(pattern, words, sentence)
        sentence = re.sub(r"\{(\w+): (\[[\w, ]+\]|\w+)\}", _dict_literal, sentence)
        wanted = rf"\b([Ss])et (?P<name>{self._key}|[a-z_]+) to (?P<value>an? |the |[\w.]+)"
        sentence = re.sub(wanted, self._pass, sentence)
        return re.sub(rf"{_QUOTED}|{self._key}", self._plain, sentence)

    def _pass(self, found: re.Match[str]) -> str:
        name, value = self.argument(found["name"]), found["value"]
        if value in ("a ", "an ", "the "):
            return f"{'Give' if found[1] == 'S' else 'give'} {name} as {value}"
        end = value[len(value.rstrip(".")) :]
        value = value.rstrip(".")
        is_literal = value in _LITERALS.values() or re.fullmatch(r"\d+(?:\.\d+)?", value) is not None
        shown = value if is_literal else repr(value)
        return f"{'Pass' if found[1] == 'S' else 'pass'} {name}={shown}{end}"

    def _plain(self, found: re.Match[str]) -> str:
        return found[0] if found[0][0] in "'\"" else self.argument(found[0])


def _dict_literal(found: re.Match[str]) -> str:
    value = found[2]
    names = [name.strip() for name in value.strip("[]").split(",")]
    return "{" + f"{found[1]!r}: {names if value.startswith('[') else value!r}" + "}"


def _as_passed(word: str) -> str:
    """What `--set` is given, as an argument is; its key stays for the one who puts keys into other words.

    >>> print(_as_passed("source.row_numbers=true"), _as_passed("'source.classes=[a, b]'."))
    source.row_numbers=True source.classes=['a', 'b'].
    """
    plain = word.rstrip(".,;:)")
    key, _, value = "".join(shlex.split(plain)).partition("=")
    try:
        found = yaml.load(value, Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError:
        found = value
    return f"{key}={found!r}{word[len(plain) :]}"


@lru_cache(maxsize=1)
def _sections() -> Mapping[str, tuple[str, ...]]:
    """Section -> dotted keys below it, of all commands."""
    from spark_ml_audit import config
    from spark_ml_audit.config.messages import keys_of

    found: dict[str, tuple[str, ...]] = {}
    for name in config.__all__:
        kind = getattr(config, name)
        if name.endswith("Config") and "output" in getattr(kind, "model_fields", {}):
            for section, keys in keys_of(kind).items():
                found[section] = (*found.get(section, ()), *keys)
    return found


def _known_keys() -> set[str]:
    return {f"{section}.{key}" for section, keys in _sections().items() for key in keys}
