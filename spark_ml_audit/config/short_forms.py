"""Options of commands that stand for config keys: which there are (how they are read: `option_values`).

The command line offers them, printed commands use them, and both go by the one table here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

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
_IMAGE = ShortForm(
    "--image",
    "source.features.image",
    "COLUMN",
    "images that a model learns from: paths, addresses or bytes",
    "names",
)
_ENCODER = ShortForm(
    "--encoder",
    "model.encoder",
    "MODEL",
    "pretrained model that reads the texts too: a folder, a name on the Hugging Face hub, module:function",
)
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
_DECISIONS = ShortForm(
    "--decisions", "source.decisions", "TABLE", "table of reviewers' decisions to learn from"
)
_COLUMNS = (_ID, _NUMBERS, _LABELS, _PROBS, _FROM, _CLASSES, _FORMAT, _DELIMITER, _SHOW)
_AUDIT = (*_COLUMNS, _DECISIONS, _TEXT, _IMAGE, _ENCODER, _OUT)


def _run(command: str, about: str = "audit to go by; the newest by default") -> ShortForm:
    return ShortForm("--run", f"{command}.run", "RUN_ID", about)


_PREDICT = (
    _ID,
    _NUMBERS,
    _LABELS,
    _CLASSES,
    _FORMAT,
    _DELIMITER,
    _DECISIONS,
    _TEXT,
    _IMAGE,
    _ENCODER,
    ShortForm(
        "--budget",
        "model.budget",
        "MINUTES",
        "time that the model may take, as estimated: what is trained is chosen to suit",
        "number",
    ),
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
        "(certify), cells on which people differ, or rows without tags to label next",
        choices=("first-look", "additions", "removals", "worst", "random", "certify", "disputed", "next"),
    ),
    ShortForm("--per-class", "sample.per_class", "N", "with next: rows for every class", "number"),
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
    ShortForm("--size", "sample.size", "N", "how many cells, or rows of worst and next", "number"),
    ShortForm("--csv", "sample.csv", "FILE", "file to be filled in, for a spreadsheet by default"),
    ShortForm(
        "--format",
        "sample.format",
        "FORMAT",
        "of that file: CSV, tasks of Label Studio, records of Argilla",
        choices=("csv", "label_studio", "argilla"),
    ),
    ShortForm(
        "--layout",
        "sample.layout",
        "LAYOUT",
        "of CSV: a line per cell, or per row",
        choices=("cells", "rows"),
    ),
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
    ShortForm("--preview", "correct.preview", "", "tell what would change, and write nothing", "flag"),
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
