"""Places of tables: a path or a dotted name of a catalog, and how each is written where."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spark_ml_audit.config.paths import absolute, is_path, scheme_of, split_identifier
from spark_ml_audit.engines.columns import quote
from spark_ml_audit.errors import InputError

if TYPE_CHECKING:
    from spark_ml_audit.config import OutputConfig, PlaceConfig

_SMALL_BYTES = 64 << 20


@dataclass(frozen=True)
class Place:
    """Where a table is.

    Attributes:
        text: The path or dotted name, as given.
        is_path: Whether it is a path.
    """

    text: str
    is_path: bool

    @classmethod
    def of(cls, text: str) -> Place:
        """The place that a text names: a path if there is a slash in it, else a table.

        >>> Place.of("./decisions").is_path, Place.of("main.quality.decisions").is_path
        (True, False)
        """
        return cls(text, is_path(text))

    @classmethod
    def of_source(cls, config: PlaceConfig) -> Place:
        """The place of the `source` section.

        >>> from spark_ml_audit.config import PlaceConfig
        >>> Place.of_source(PlaceConfig(path="films")), Place.of_source(PlaceConfig(table="films"))
        (Place(text='films', is_path=True), Place(text='films', is_path=False))
        """
        return cls(config.path, True) if config.path is not None else cls(config.table or "", False)

    @classmethod
    def of_output(cls, config: OutputConfig, table: str) -> Place:
        """The place of a table of the `output` section.

        >>> from spark_ml_audit.config import OutputConfig
        >>> Place.of_output(OutputConfig(path="s3://lake/audits"), "examples").text
        's3://lake/audits/examples'
        >>> Place.of_output(OutputConfig(schema="main.audits", prefix="films_"), "examples").text
        'main.audits.films_examples'
        """
        if config.path is not None:
            return cls(f"{absolute(config.path).rstrip('/')}/{table}", True)
        return cls(f"{config.schema_name}.{config.prefix}{table}", False)

    @property
    def address(self) -> str:
        """The place as other programs find it: an absolute path, or the dotted name."""
        return absolute(self.text) if self.is_path else self.text

    @property
    def table_name(self) -> str:
        """The dotted name, each part quoted.

        Raises:
            InputError: It has an empty part or an unbalanced backtick.

        Example:
            >>> Place.of("main.`my.schema`.tags").table_name
            '`main`.`my.schema`.`tags`'
        """
        parts = split_identifier(self.text)
        if parts is None:
            raise InputError(
                f"'{self.text}' is not a table name.",
                fix="Write catalog.schema.table, odd parts in backticks.",
            )
        return ".".join(quote(part) for part in parts)

    @property
    def sql(self) -> str:
        """The place as SQL names a Delta table.

        >>> Place.of("s3://lake/tags").sql, Place.of("films.tags").sql
        ('delta.`s3://lake/tags`', '`films`.`tags`')
        """
        return f"delta.{quote(self.address)}" if self.is_path else self.table_name

    def sql_in(self, engine: str) -> str:
        """The place as a query names it that people type where an engine is at home.

        >>> Place.of("/lake/tags").sql_in("embedded"), Place.of("/lake/tags").sql_in("spark")
        ("delta_scan('/lake/tags')", 'delta.`/lake/tags`')
        """
        return f"delta_scan({literal_in(engine, self.address)})" if engine == "embedded" else self.sql

    @property
    def is_small(self) -> bool:
        """Whether it is a local file or folder below 64 MB: not worth compiling Spark's code well for."""
        if not self.is_path or scheme_of(self.text):
            return False
        total = 0
        if os.path.isfile(self.text):
            return 0 < os.path.getsize(self.text) <= _SMALL_BYTES
        for folder, _, names in os.walk(self.text):
            for name in names:
                total += os.path.getsize(os.path.join(folder, name))
                if total > _SMALL_BYTES:
                    return False
        return total > 0


def literal_in(engine: str, text: str) -> str:
    r"""A text as a literal of an engine's SQL.

    >>> print(literal_in("embedded", "it's"), literal_in("spark", "it's"))
    'it''s' 'it\'s'
    """
    if engine == "embedded":
        return "'" + text.replace("'", "''") + "'"
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    # Spark puts settings, secrets among them, in the place of ${name}, in literals too
    return "'" + escaped.replace("$", "\\u0024") + "'"
