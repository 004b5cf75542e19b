"""The index of a run, from its tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from spark_ml_audit.app.allocator import give_back
from spark_ml_audit.app.index import AuditIndex, index_of

if TYPE_CHECKING:
    from spark_ml_audit.app.reader import AuditReader


def load_index(reader: AuditReader) -> AuditIndex:
    """Read the index of a reader's run; what reading took goes back to the system."""
    classes = reader.run.tags
    index = index_of(reader.issues(), reader.id_type)
    marks, groups = reader.marks(), reader.groups()
    if marks is not None and marks.num_rows:
        index = index.with_marks(marks, classes)
    if groups is not None and groups.num_rows:
        index = index.with_groups(groups, classes)
    pa.default_memory_pool().release_unused()
    give_back()
    return index
