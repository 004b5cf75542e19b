"""Cells that people are asked about, as lines of a spreadsheet: one per cell, or one per row."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spark_ml_audit.arrow.encode import EXTRANEOUS, MISSING

_NUMBERED = re.compile(r"(tag|given|issue|pred_prob|said|verdict)_([1-9][0-9]*)")


@dataclass(frozen=True)
class Asked:
    """A cell of a sample.

    Attributes:
        sample_id: Of the sample.
        row_id: Id of its row, as a text.
        shown: Values of the columns shown beside it.
        given_tags: All tags that the row was given.
        tag: The tag asked about.
        is_given: Whether the row was given it.
        issue: missing, extraneous or None; None in blind samples.
        pred_prob: Probability of the tag; None in blind samples.
        said: Who said what; None where that is not told.
    """

    sample_id: str
    row_id: str
    shown: tuple[str | None, ...]
    given_tags: tuple[str, ...]
    tag: str
    is_given: bool
    issue: str | None = None
    pred_prob: float | None = None
    said: str | None = None

    @property
    def suggested(self) -> bool:
        """Whether the row has the tag, as the audit has it."""
        return self.issue == MISSING or (self.is_given and self.issue != EXTRANEOUS)


@dataclass(frozen=True)
class Columns:
    """What lines hold beside cell and verdict.

    Attributes:
        id_name: Name of the source's id column.
        shown: Columns shown.
        has_flags: Whether issue and probability are told.
        has_said: Whether it is told who said what.
    """

    id_name: str
    shown: tuple[str, ...] = ()
    has_flags: bool = True
    has_said: bool = False

    @property
    def of_cell(self) -> list[str]:
        """Columns that say what is asked."""
        flags = ["issue", "pred_prob"] if self.has_flags else []
        return ["tag", "given", *flags, *(["said"] if self.has_said else [])]

    def values(self, cell: Asked) -> list[object]:
        """The values of these columns."""
        probability = None if cell.pred_prob is None else round(cell.pred_prob, 4)
        flags = [cell.issue, probability] if self.has_flags else []
        given = "given" if cell.is_given else "not given"
        return [cell.tag, given, *flags, *([cell.said] if self.has_said else [])]


def cell_lines(cells: Sequence[Asked], columns: Columns) -> tuple[list[str], list[list[object]]]:
    """Header and a line per cell, verdict and note empty.

    >>> asked = [Asked("s", "1", (), ("war",), "war", True, "extraneous", 0.01)]
    >>> for line in cell_lines(asked, Columns("film")):
    ...     print(line)
    ['sample_id', 'film', 'given_tags', 'tag', 'given', 'issue', 'pred_prob', 'verdict', 'note']
    [['s', '1', 'war', 'war', 'given', 'extraneous', 0.01, None, None]]
    """
    header = [*_begin(columns), *columns.of_cell, "verdict", "note"]
    return header, [[*_of_row(cell), *columns.values(cell), None, None] for cell in cells]


def row_lines(cells: Sequence[Asked], columns: Columns) -> tuple[list[str], list[list[object]]]:
    """Header and a line per row, with a numbered verdict beside each tag that is asked; note at the end.

    >>> asked = [Asked("s", "1", (), (), tag, False) for tag in ("war", "love")]
    >>> header, lines = row_lines(asked, Columns("id", has_flags=False))
    >>> header[3:]
    ['tag_1', 'given_1', 'verdict_1', 'tag_2', 'given_2', 'verdict_2', 'note']
    >>> lines
    [['s', '1', '', 'war', 'not given', None, 'love', 'not given', None, None]]
    """
    rows = by_row(cells)
    most = max(map(len, rows), default=0)
    own = [*columns.of_cell, "verdict"]
    header = [*_begin(columns), *[f"{name}_{k}" for k in range(1, most + 1) for name in own], "note"]
    lines = []
    for row in rows:
        line = _of_row(row[0])
        for cell in row:
            line += [*columns.values(cell), None]
        lines.append([*line, *[None] * (len(own) * (most - len(row))), None])
    return header, lines


def by_row(cells: Sequence[Asked]) -> list[list[Asked]]:
    """The cells of each row, rows in the order of their first cells."""
    rows: dict[str, list[Asked]] = {}
    for cell in cells:
        rows.setdefault(cell.row_id, []).append(cell)
    return list(rows.values())


def cells_of_line(line: Mapping[str, str], header: Sequence[str]) -> list[tuple[str, dict[str, str]]]:
    """A line per row taken apart again: the number of each answer, and a line per cell.

    >>> line = {"id": "1", "tag_1": "war", "verdict_1": "y", "tag_2": "love"}
    >>> for found in cells_of_line(line, ["id", "tag_1", "verdict_1", "tag_2", "verdict_2"]):
    ...     print(found)
    ('1', {'id': '1', 'tag': 'war', 'verdict': 'y'})
    ('2', {'id': '1', 'tag': 'love'})
    """
    numbers = [name.removeprefix("verdict_") for name in header if re.fullmatch(r"verdict_[1-9][0-9]*", name)]
    common = {name: value for name, value in line.items() if not _NUMBERED.fullmatch(name)}
    found = []
    for number in numbers:
        own = {name: line[f"{name}_{number}"] for name in ("tag", "verdict") if f"{name}_{number}" in line}
        if own:
            found.append((number, {**common, **own}))
    return found


def is_line_per_row(header: Sequence[str]) -> bool:
    """Whether a header is of lines per row."""
    return "verdict" not in header and {"tag_1", "verdict_1"} <= set(header)


def _begin(columns: Columns) -> list[str]:
    return ["sample_id", columns.id_name, *columns.shown, "given_tags"]


def _of_row(cell: Asked) -> list[object]:
    return [cell.sample_id, cell.row_id, *cell.shown, ", ".join(cell.given_tags)]
