"""A sqlite tracking store that appears whole or not at all.

MLflow creates a fresh database by dozens of migrations (about 4 s) with no lock around them: two audits
that start at once break each other, and one killed half-way leaves a file that no later run can open.
So the migrations run on a private file, once per version of MLflow and user: its image is kept among the
user's caches, and published under the store's name in one step.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
import threading
import uuid
from contextlib import closing
from importlib import metadata
from pathlib import Path

_template_lock = threading.Lock()
_template: list[bytes] = []
_SQLITE = b"SQLite format 3\0"


def prepare_store() -> None:
    """Have in memory what makes a new store: an empty one's image, and what opens it.

    Raises:
        Exception: Whatever MLflow raises when it cannot make a store.
    """
    _prepare_template()
    # half as long again as MLflow itself
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401 - loading it is the point


def _prepare_template() -> None:
    """Have the image of an empty store in memory, once per process.

    Raises:
        Exception: Whatever MLflow raises when it cannot make a store.
    """
    with _template_lock:
        if _template:
            return
        kept = _kept_image()
        image = _read(kept)
        if image is None:
            image = _new_image()
            _keep(kept, image)
        _template.append(image)


def _new_image() -> bytes:
    import mlflow

    folder = Path(tempfile.mkdtemp(prefix="spark-ml-audit-"))
    try:
        fresh = folder / "fresh.db"
        mlflow.MlflowClient(tracking_uri=f"sqlite:///{fresh}").search_experiments(max_results=1)
        # A backup is consistent whatever connections MLflow keeps open to the original.
        image = folder / "image.db"
        with closing(sqlite3.connect(fresh)) as source, closing(sqlite3.connect(image)) as copy:
            source.backup(copy)
        return image.read_bytes()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _kept_image() -> Path | None:
    """Where the image for this version of MLflow is kept; None where there is no place for it."""
    try:
        home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        version = metadata.version("mlflow")
    except (RuntimeError, metadata.PackageNotFoundError):
        return None
    return Path(home, "spark_ml_audit", f"mlflow-{version}.db")


def _read(file: Path | None) -> bytes | None:
    """The kept image, if it is whole and nobody else's."""
    try:
        if file is None or (hasattr(os, "getuid") and file.stat().st_uid != os.getuid()):
            return None
        found = file.read_bytes()
    except OSError:
        return None
    return found if found.startswith(_SQLITE) else None


def _keep(file: Path | None, image: bytes) -> None:
    if file is None:
        return
    staged = file.with_name(f".{file.name}.{uuid.uuid4().hex}")
    with contextlib.suppress(OSError):  # then the next process makes its own
        file.parent.mkdir(parents=True, exist_ok=True)
        staged.write_bytes(image)
        staged.replace(file)


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
    _prepare_template()
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
