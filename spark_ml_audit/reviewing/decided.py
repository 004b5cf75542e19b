"""A table of decisions, read for one source: which verdict stands for a cell, and which rows are excluded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.engines.columns import column, names_of
from spark_ml_audit.lake.source import newest_version
from spark_ml_audit.reviewing.decisions import (
    check_decisions,
    count_decisions,
    marks_frame,
    standing_decisions,
)
from spark_ml_audit.reviewing.excluded import excluded_ids
from spark_ml_audit.reviewing.tables import frame_type

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Engine, Frame
    from spark_ml_audit.frames.ingest import Ingest


@dataclass(frozen=True)
class Decided:
    """What people decided of the rows of a source.

    Attributes:
        engine: What runs the frames.
        decisions: The table.
        standing: From `standing_decisions`.
        excluded: Ids of the rows that they exclude, column `id`; None for none.
        version: Of the table of decisions, pinned; None of one in hand.
    """

    engine: Engine
    decisions: Frame
    standing: Frame
    excluded: Frame | None
    version: str | None = None

    @cached_property
    def problems(self) -> list[str]:
        """Sentences on decisions that were set aside."""
        return count_decisions(self.engine, self.standing).warnings()

    @cached_property
    def marks(self) -> Frame:
        """Per id, the cells with a verdict and the excluded rows, as `kernels.decided_tags` knows them."""
        return marks_frame(self.engine, self.standing, self.excluded)


def decided_of(engine: Engine, decisions: Frame, ingest: Ingest, key: str) -> Decided:
    """What a table of decisions says of a source.

    Args:
        engine: What runs the frames.
        decisions: The table.
        ingest: The source, for its ids and classes.
        key: Config key, for messages.

    Raises:
        InputError: A column is missing, or the ids are of a type that cannot be compared.
    """
    id_name, id_type = ingest.layout.id, ingest.id_type
    checked = check_decisions(engine, decisions, id_name, id_type, key)
    standing = standing_decisions(engine, checked, ingest.layout.classes)
    own = id_name if id_name in names_of(decisions) else ID
    others = [column(name) for name in names_of(decisions) if name not in (own, ID)]
    row_id = column(own).alias(ID)
    if engine.schema(decisions).field(own).type != id_type:
        row_id = row_id.cast(frame_type(id_type))
    return Decided(engine, decisions, standing, excluded_ids(decisions.select(row_id, *others)))


def read_decided(engine: Engine, place: str, ingest: Ingest, key: str, version: str | None = None) -> Decided:
    """The same of a Delta table given by path or name, pinned.

    Args:
        engine: What runs the frames.
        place: Path or name.
        ingest: The source.
        key: Config key of the place, for messages.
        version: The version to pin; the newest by default.

    Raises:
        InputError: It cannot be read, or does not fit the source.
    """
    opened = newest_version(engine, place, key, version)
    found = decided_of(engine, opened.frame, ingest, key)
    return replace(found, version=opened.version)
