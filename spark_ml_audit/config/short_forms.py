"""Options of commands that stand for config keys: which there are, how each is read, how each is printed.

The command line offers them, printed commands use them, and both go by the one table here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

from spark_ml_audit.config.yaml_loader import Dumper, Loader
from spark_ml_audit.errors import ConfigError
from spark_ml_audit.text import show

Kind = Literal["text", "columns", "names", "classes", "number", "flag"]


@dataclass(frozen=True)
class ShortForm:
    """An option that stands for a key.

    Attributes:
        option: As it is typed.
        key: The dotted key.
        metavar: What the value is, in `--help`.
        about: What it is for, in `--help`.
        kind: How the value is written: a text as it is; a column, or a list of one per tag; names, of which
            one is as a list of one; class names or a file of them; a number; a flag, which has none and means
            true.
        choices: The values there are; none where there are others.
        replaces: Keys of a config file that do not count beside it.
    """

    option: str
    key: str
    metavar: str
    about: str
    kind: Kind = "text"
    choices: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()


@dataclass(frozen=True)
class Given:
    """A value that was given by an option or as the source.

    Attributes:
        option: What gave it, for messages.
        key: The dotted key.
        value: As YAML would give it.
        replaces: Keys of a config file that do not count beside it.
    """

    option: str
    key: str
    value: object
    replaces: tuple[str, ...] = ()


ENGINE = ShortForm(
    "--engine",
    "engine.kind",
    "KIND",
    "what runs it: in this process (embedded), or Spark",
    choices=("auto", "embedded", "spark"),
)
"""The short form that every command has."""

_OUT = ShortForm(
    "--out", "output.path", "DIR", "folder of the output", replaces=("output.schema", "output.prefix")
)
_ID = ShortForm("--id", "source.id", "COLUMN", "column that names a row")
_LABELS = ShortForm(
    "--labels", "source.labels", "COLUMNS", "column of the tags, or a list of one per tag", "columns"
)
_PROBS = ShortForm(
    "--pred-probs",
    "source.pred_probs",
    "COLUMNS",
    "column of the probabilities, or a list of one per tag",
    "columns",
)
_CLASSES = ShortForm(
    "--classes",
    "source.classes",
    "NAMES",
    "tags in the order of the probabilities: a list, or a file of one per line",
    "classes",
)
_FORMAT = ShortForm("--format", "source.format", "FORMAT", "format of the source")
_DELIMITER = ShortForm(
    "--delimiter", "source.labels_delimiter", "TEXT", "what stands between the tags of a text"
)
_SHOW = ShortForm(
    "--show", "source.show", "COLUMNS", "columns that the report shows beside a row's id", "names"
)
_TEXT = ShortForm("--text", "source.features.text", "COLUMNS", "texts that a model learns from", "names")
_FROM = ShortForm(
    "--pred-probs-from",
    "source.pred_probs_from",
    "SOURCE",
    "another file or table that has the probabilities, joined by id",
)
_NUMBERS = ShortForm(
    "--row-numbers",
    "source.row_numbers",
    "",
    "name the rows of files by their numbers, without an id",
    "flag",
)
_COLUMNS = (_ID, _NUMBERS, _LABELS, _PROBS, _FROM, _CLASSES, _FORMAT, _DELIMITER, _SHOW)
_AUDIT = (*_COLUMNS, _TEXT, _OUT)


def _run(command: str, about: str = "audit to go by; the newest by default") -> ShortForm:
    return ShortForm("--run", f"{command}.run", "RUN_ID", about)


_PREDICT = (
    _ID,
    _NUMBERS,
    _LABELS,
    _CLASSES,
    _FORMAT,
    _DELIMITER,
    _TEXT,
    ShortForm(
        "--fit-final",
        "model.fit_final",
        "",
        "also train a model on all rows, keep it in MLflow and register it as model.name",
        "flag",
    ),
    ShortForm("--name", "model.name", "NAME", "name under which --fit-final registers the model"),
    _OUT,
)
_TAG = (
    _ID,
    _NUMBERS,
    _FORMAT,
    ShortForm("--model", "model.uri", "URI", "address of the model, such as models:/name/1"),
    _OUT,
)
_COMPARE = (
    _run("compare", "run to look at; the newest by default"),
    ShortForm("--against", "compare.against", "RUN_ID", "run to compare it with; by default the one before"),
    _OUT,
)
_SAMPLE = (
    ShortForm(
        "--how",
        "sample.how",
        "HOW",
        "what is drawn: some of the surest tags to add and to remove (first-look), one of these lists, the "
        "worst rows, a random sample to estimate from, one of a class and direction to accept in bulk by "
        "(certify), or cells on which people differ",
        choices=("first-look", "additions", "removals", "worst", "random", "certify", "disputed"),
    ),
    ShortForm("--tag", "sample.tag", "NAME", "with certify: the class"),
    ShortForm(
        "--direction",
        "sample.direction",
        "DIRECTION",
        "with certify: which flags",
        choices=("missing", "extraneous"),
    ),
    ShortForm("--reviewers", "sample.reviewers", "NAMES", "people, each of whom gets a file", "names"),
    ShortForm("--overlap", "sample.overlap", "SHARE", "share of the rows that two of them get", "number"),
    ShortForm("--size", "sample.size", "N", "how many cells, or rows of worst", "number"),
    ShortForm("--csv", "sample.csv", "FILE", "file for a spreadsheet, to be filled in"),
    ShortForm("--show", "sample.show", "COLUMNS", "columns of the source beside the cells", "names"),
    _run("sample"),
    _OUT,
)
_DECIDE = (
    ShortForm("--file", "decide.file", "FILE", "file that was filled in"),
    ShortForm("--who", "decide.who", "NAME", "who decided, where the file does not say"),
    ShortForm(
        "--kind",
        "decide.kind",
        "KIND",
        "adjudicated: these settle cells on which people differ",
        choices=("single", "adjudicated"),
    ),
    ShortForm("--undo", "decide.undo", "ID", "take a decision or a bulk acceptance back"),
    _run("decide"),
    _OUT,
)
_CORRECT = (
    ShortForm(
        "--accept-above",
        "correct.accept_above",
        "P",
        "correct flags of at least this confidence too, that nobody decided",
        "number",
    ),
    ShortForm(
        "--accept-certified",
        "correct.accept_certified",
        "P",
        "accept flags as far as random decisions prove this precision",
        "number",
    ),
    ShortForm(
        "--mode",
        "correct.mode",
        "MODE",
        "a corrected copy, or the source itself",
        choices=("copy", "merge"),
    ),
    ShortForm("--to", "correct.to", "PLACE", "where the copy goes"),
    ShortForm(
        "--undo",
        "correct.undo",
        "CORRECTION_ID",
        "take a correction back: its rows get their old labels",
    ),
    _run("correct"),
    _OUT,
)

_SERVE = (
    ShortForm("--port", "serve.port", "N", "port to listen on, 0 for any that is free", "number"),
    ShortForm("--who", "serve.who", "NAME", "person whose decisions these are"),
    ShortForm("--show", "serve.show", "COLUMNS", "columns of the source that a row shows", "names"),
    ShortForm("--image", "serve.image", "COLUMN", "column with the address or path of a picture"),
    ShortForm("--definitions", "serve.definitions", "FILE", "file of what the tags mean"),
    _run("serve"),
    _OUT,
)

SHORT_FORMS: Mapping[str, tuple[ShortForm, ...]] = {
    "demo": (),
    "init": _COLUMNS,
    "audit": _AUDIT,
    "check": _AUDIT,
    "predict": _PREDICT,
    "tag": _TAG,
    "runs": (ShortForm("--last", "runs.last", "N", "how many, the newest ones", "number"), _OUT),
    "open": (_run("open", "audit whose report is opened; the newest by default"), _OUT),
    "compare": _COMPARE,
    "trend": (ShortForm("--last", "trend.last", "N", "how many runs, the newest ones", "number"), _OUT),
    "sample": _SAMPLE,
    "decide": _DECIDE,
    "review": (_run("review"), _OUT),
    "correct": _CORRECT,
    "serve": _SERVE,
}
"""Command -> its short forms, in the order of `--help`."""


def read_value(form: ShortForm, text: str) -> object:
    """The value that a typed text stands for.

    Args:
        form: The option.
        text: What was typed.

    Raises:
        ConfigError: A list cannot be read; its key is the option.

    Example:
        >>> labels, classes, out = _LABELS, _CLASSES, _OUT
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
