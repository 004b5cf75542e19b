"""The `source` section: the table to audit and which of its columns mean what."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from spark_ml_audit.config.base import Section, plain_arguments
from spark_ml_audit.config.fields import (
    AnyText,
    Columns,
    TableName,
    Text,
    Version,
    also,
    problem,
    repeated,
)
from spark_ml_audit.config.paths import refused_by_delta
from spark_ml_audit.text import show

RESERVED_COLUMNS = frozenset(
    {
        "run_id", "label_quality_score", "is_label_issue", "given_tags", "suggested_tags", "missing_tags",
        "extraneous_tags", "issue_rank", "tag", "issue", "pred_prob", "cell_score", "rank_in_row", "reason",
        "detail", "row", "ambiguity_score", "is_ambiguous", "ambiguous_tags", "outlier_score", "is_outlier",
        "flagged_cells", "order_score",
    }
)  # fmt: skip
"""Names of the output columns that stand beside the id column, in lower case."""

CLASSES_PROPERTY = "spark_ml_audit.classes"
CLASSES_METADATA = "classes"
"""Where a class list is told: a property of a table, metadata of a column or of a Parquet file's schema."""

ROW_NUMBER = "row_number"
"""The id of rows that are numbered."""

NO_ORDER_FIX = (
    "Add an id column to the table (SQL: uuid(), or monotonically_increasing_id()), and name it as source.id."
)
"""What to do about a table whose rows cannot be numbered."""


def check_decisions_named(row_numbers: bool, decisions: str | None) -> None:
    """Refuse a table of decisions for rows that are named by their numbers.

    Raises:
        PydanticCustomError: They are.
    """
    if row_numbers and decisions is not None:
        raise problem(
            f"found {show(decisions)}, but rows are named by numbers (source.row_numbers), which "
            "say nothing of other files.",
            "Give the rows an id column to take decisions over from audit to audit.",
            at="decisions",
        )


_Self = TypeVar("_Self", bound="LabelsConfig")
_Place = TypeVar("_Place", bound="PlaceConfig")


def _check_id(name: str) -> str:
    bad = refused_by_delta(name)
    if bad is not None:
        raise problem(
            f"the column name {show(name)} holds {bad!r}, which Delta tables refuse.",
            "Rename the column in the source, or audit a view that renames it.",
        )
    if name.lower() in RESERVED_COLUMNS:
        raise problem(
            f"the column name {show(name)} is also the name of a column the audit writes.",
            "Rename the column in the source, for example to row_key, or audit a view that renames it.",
        )
    return name


IdColumn = Annotated[
    AnyText, AfterValidator(_check_id), Field(description="the name of the column that names a row")
]


def _classes(value: object) -> tuple[str, ...] | None:
    """Accept null, a list of tag names, or the path of a file with one per line."""
    if value is None:
        return None
    if isinstance(value, str):
        names, unit = _read_class_file(value), "line"
    elif isinstance(value, list | tuple):
        names, unit = list(value), "entry"
    else:
        raise problem(
            f"found {show(value)}, neither a list of tag names nor the path of a file.",
            "Give a list of tag names, or a file with one per line.",
        )
    if not names:
        raise problem("names no class.", "Give every tag name in the order of the probabilities.")
    for position, name in enumerate(names, start=1):
        if not isinstance(name, str):
            raise problem(
                f"{unit} {position} is {show(name)}, which YAML does not read as text.",
                'Put tag names that read as numbers, booleans or null in quotes, for example "no" or "2024".',
            )
        if not name.strip():
            raise problem(
                f"{unit} {position} is empty.", "Remove it, or write the tag's name; the order is kept."
            )
        if not name.isprintable() and any("\ud800" <= char <= "\udfff" for char in name):
            raise problem(f"{unit} {position} is {show(name)}, which is not valid Unicode.", "Correct it.")
    twice = repeated(names)
    if twice is not None:
        raise problem(f"the tag {show(twice)} is given twice.", "Give every tag name once.")
    return tuple(names)


def _read_class_file(path: str) -> list[str]:
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise problem(
            f"the file {show(path)} is not UTF-8 (byte {error.start}).", "Save it as UTF-8."
        ) from None
    except FileNotFoundError:
        raise problem(
            f"there is no file {show(path)}.",
            "Give a list of tag names, or the path of a file with one per line (from the current folder).",
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise problem(
            f"the file {show(path)} cannot be read: {reason}.", "Give a readable file with one tag per line."
        ) from None
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return lines[:-1] if lines[-1] == "" else lines


class LabelsConfig(Section):
    """The columns that name a row and hold its given tags.

    Attributes:
        id: Column that names a row.
        labels: Column of the given tags, or a tuple of one column per tag.
        labels_format: How tags are written.
        labels_delimiter: What stands between tags in a delimited text.
        empty_labels: What a label text with nothing in it means.
        classes: Tag names in probability order; a file named in the config has been read.
    """

    id: IdColumn = "id"
    labels: Columns = "labels"
    labels_format: Literal["auto", "names", "indices", "multi_hot", "delimited", "columns"] = "auto"
    labels_delimiter: Annotated[
        AnyText, Field(description='a text of one or more characters, for example ","')
    ] = ","
    empty_labels: Literal["no_tags", "not_annotated"] = "no_tags"
    classes: Annotated[
        tuple[str, ...] | None,
        BeforeValidator(_classes),
        Field(json_schema_extra=also({"type": "string"})),
    ] = None

    @classmethod
    def from_arguments(cls: type[_Self], **options: object) -> _Self:
        """Build from Python keyword arguments; NumPy arrays are welcome.

        Raises:
            ConfigError: Its key is ``source.<name>``.

        Example:
            >>> import numpy as np
            >>> LabelsConfig.from_arguments(id="film", classes=np.array(["drama", "comedy"])).classes
            ('drama', 'comedy')
        """
        return cls.parse(plain_arguments(options), "source")

    def columns(self, pred_probs: str = "pred_probs") -> ColumnsConfig:
        """Return these columns beside one that holds the probabilities as an array.

        Args:
            pred_probs: Name of that column, by default the one that `predict` writes.

        Raises:
            ConfigError: Another key names that column already.

        Example:
            >>> columns = LabelsConfig(id="film", labels="genres").columns(pred_probs="scores")
            >>> columns.id, columns.labels, columns.pred_probs
            ('film', 'genres', 'scores')
        """
        own = {name: getattr(self, name) for name in LabelsConfig.model_fields}
        return ColumnsConfig.from_arguments(**own, pred_probs=pred_probs)

    @model_validator(mode="after")
    def _check_columns(self: _Self) -> _Self:
        keys = self._column_keys()
        for key in keys:
            self._check_listed(key)
        seen = {self.id.lower(): "id"}
        for key in keys:
            value = getattr(self, key)
            for name in (value,) if isinstance(value, str) else value:
                other = seen.setdefault(name.lower(), key)
                if other != key:
                    raise problem(
                        f"names the column {show(name)}, which source.{other} names too.",
                        "Give each its own column.",
                        at=key,
                    )
        self._check_widths()
        return self

    def _column_keys(self) -> tuple[str, ...]:
        """Keys that name a column, or a list of one per class."""
        return ("labels",)

    def _check_listed(self, key: str) -> None:
        format_key, is_list = f"{key}_format", not isinstance(getattr(self, key), str)
        found = getattr(self, format_key)
        if is_list and found not in ("auto", "columns"):
            raise problem(
                f"found {found}, but source.{key} is a list of columns.",
                f"Set {format_key} to columns or auto, or give one column as {key}.",
                at=format_key,
            )
        if not is_list and found == "columns":
            raise problem(
                f"found columns, but source.{key} names one column.",
                f"Give {key} as a list of columns, one per tag, or set {format_key} to auto.",
                at=format_key,
            )

    def _check_widths(self) -> None:
        widths = self.listed_widths()
        if len(set(widths.values())) > 1:
            first, *rest = widths
            other = next(key for key in rest if widths[key] != widths[first])
            raise problem(
                f"the number of entries is {widths[other]}, but that of source.{first} is {widths[first]}.",
                "Give one entry per class in both, in the same order.",
                at=other,
            )

    def listed_widths(self) -> dict[str, int]:
        """Return key -> number of entries, for the keys that list one entry per class.

        >>> ColumnsConfig(pred_probs=("p_drama", "p_comedy"), classes=("drama", "comedy")).listed_widths()
        {'classes': 2, 'pred_probs': 2}
        """
        return {
            key: len(value)
            for key in ("classes", *self._column_keys())
            if (value := getattr(self, key)) is not None and not isinstance(value, str)
        }


class ColumnsConfig(LabelsConfig):
    """The columns of a source with probabilities, and how they are written.

    Attributes:
        pred_probs: Column of the K probabilities, or a tuple of one column per tag.
        pred_probs_format: How probabilities are written.
    """

    pred_probs: Columns = "pred_probs"
    pred_probs_format: Literal["auto", "array", "vector", "columns", "map"] = "auto"

    def _column_keys(self) -> tuple[str, ...]:
        return ("labels", "pred_probs")


class PlaceConfig(Section):
    """Where a source table is.

    Attributes:
        path: Folder of the table; exactly one of path and table is given.
        table: Name of the table in a catalog.
        format: Format of the files below `path`; auto: told by their names and content.
        version: Delta version number or timestamp to read; None for the newest.
        row_numbers: Whether the rows of files without an id are numbered, from 0, in the order of the files
            by path and of their rows; the id is then `row_number`.
    """

    path: Annotated[Text | None, Field(description="the path of a table")] = None
    table: Annotated[TableName | None, Field(description="a table name such as catalog.schema.table")] = None
    format: Literal["auto", "delta", "parquet", "csv", "tsv", "jsonl"] = "auto"
    version: Version = None
    row_numbers: Annotated[bool, Field(description="true or false")] = False

    @model_validator(mode="before")
    @classmethod
    def _number_rows(cls, values: Any) -> Any:
        """The id of numbered rows is their number."""
        if (
            not isinstance(values, dict)
            or values.get("row_numbers") is not True
            or "id" not in cls.model_fields
        ):
            return values
        named = values.get("id", ROW_NUMBER)
        if named != ROW_NUMBER:
            raise problem(
                f"found true, but source.id names the column {show(named)}.",
                "Leave source.id out, so that the number is the id, or row_numbers, so that the column is.",
                at="row_numbers",
            )
        return {**values, "id": ROW_NUMBER}

    @property
    def name(self) -> str:
        """The path or table name as configured."""
        return self.path or self.table or ""

    @model_validator(mode="after")
    def _check_place(self: _Place) -> _Place:
        if self.path is None and self.table is None:
            raise problem(
                "no source is given.",
                "Name a file, folder or table behind the command (spark-ml-audit audit tags.parquet), or set "
                "source.path or source.table in the --config file.",
                at="path",
            )
        if self.path is not None and self.table is not None:
            raise problem(
                f"found {show(self.table)}, but source.path is given too ({show(self.path)}).",
                "Give one of the two; null unsets a key (--set source.path=null).",
                at="table",
            )
        if self.format not in ("auto", "delta") and self.version is not None:
            raise problem(
                f"found {show(self.version)}, but files of format {self.format} have no versions.",
                "Leave source.version out, or set source.format to delta.",
                at="version",
            )
        if self.row_numbers and (
            self.table is not None or self.format == "delta" or self.version is not None
        ):
            raise problem(
                "found true, but the rows of a table have no order that stays.",
                NO_ORDER_FIX,
                at="row_numbers",
            )
        if self.table is not None and self.format in ("csv", "tsv", "jsonl"):
            raise problem(
                f"found {self.format}, but source.table names a table of a catalog.",
                "Give the files as source.path, or leave source.format out.",
                at="format",
            )
        return self


class SourceConfig(ColumnsConfig, PlaceConfig):
    """The table to read: where it is, and which of its columns mean what.

    Attributes:
        pred_probs_from: Another file, folder or table that has the probabilities, joined by id; None: the
            source itself has them.
    """

    pred_probs_from: Annotated[
        Text | None, Field(description="the path of a file or folder, a table name, or null")
    ] = None
