"""A sqlite tracking store that appears whole or not at all.

MLflow creates a fresh database by dozens of migrations (about 4 s) with no lock around them: two audits
that start at once break each other, and one killed half-way leaves a file that no later run can open.
So the migrations run on a private file, which is then published under its name in one step.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import threading
import uuid
from contextlib import closing
from pathlib import Path

_template_lock = threading.Lock()
_template: list[bytes] = []


def prepare_template() -> None:
    """Build the image of an empty store in memory, once per process.

    Raises:
        Exception: Whatever MLflow raises when it cannot make a store.
    """
    import mlflow

    with _template_lock:
        if _template:
            return
        folder = Path(tempfile.mkdtemp(prefix="spark-ml-audit-"))
        try:
            fresh = folder / "fresh.db"
            mlflow.MlflowClient(tracking_uri=f"sqlite:///{fresh}").search_experiments(max_results=1)
            # A backup is consistent whatever connections MLflow keeps open to the original.
            image = folder / "image.db"
            with closing(sqlite3.connect(fresh)) as source, closing(sqlite3.connect(image)) as copy:
                source.backup(copy)
            _template.append(image.read_bytes())
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def ensure_store(file: Path) -> None:
    """Create the sqlite store `file`, and the folders above it, unless it is there already.

    Safe when several processes do it at the same moment: one of them wins, all use its file.

    Args:
        file: Database file of the store.

    Raises:
        OSError: The folder cannot be made or written.
    """
    if file.exists():
        return
    prepare_template()
    file.parent.mkdir(parents=True, exist_ok=True)
    staged = file.with_name(f".{file.name}.{uuid.uuid4().hex}")
    try:
        staged.write_bytes(_template[0])
        try:
            os.link(staged, file)
        except FileExistsError:
            return
        except OSError:
            # A file system without hard links: the remaining race is two renames of equal files.
            if not file.exists():
                staged.replace(file)
    finally:
        staged.unlink(missing_ok=True)
