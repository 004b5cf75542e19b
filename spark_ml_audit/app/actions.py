"""What the page does beside deciding: correct, take back, audit again, compare, and files to download."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from spark_ml_audit.app.changes import planned_changes
from spark_ml_audit.app.commands import audit_config, correct_config, run_command
from spark_ml_audit.app.downloads import FORMATS, as_file, decisions_table, list_table
from spark_ml_audit.app.jobs import JobQueue
from spark_ml_audit.app.session import ReviewSession
from spark_ml_audit.errors import InputError

if TYPE_CHECKING:
    from spark_ml_audit.config.serve import ServeConfig

_CORRECTED = (
    "correction_id", "mode", "num_rows_changed", "num_tags_added", "num_tags_removed", "num_stale",
    "num_gone", "num_excluded", "num_restored", "warnings", "target", "undoes",
)  # fmt: skip
_AUDITED = (
    "run_id", "num_audited", "num_label_issues", "num_missing_tags", "num_extraneous_tags", "health",
    "report", "warnings",
)  # fmt: skip


class Actions:
    """Jobs and files of a review.

    Args:
        session: The review.
        config: Of the command.
    """

    def __init__(self, session: ReviewSession, config: ServeConfig) -> None:
        self._session = session
        self._config = config
        self._queue = JobQueue()

    def jobs(self) -> list[dict[str, Any]]:
        """All jobs, the newest first."""
        return self._queue.all()

    def start(self, sent: Mapping[str, Any], who: str) -> dict[str, Any]:
        """Start a job.

        Args:
            sent: name (correct, undo or audit), and what it needs.
            who: The person.

        Raises:
            InputError: There is no such job, or it lacks something.
        """
        name, session, config = sent.get("name"), self._session, self._config
        if name in ("correct", "undo"):
            if name == "undo" and not sent.get("undo"):
                raise InputError("a correction is taken back by its id.", key="undo")
            corrected = correct_config(config, session.reader.run, sent)
            return self._queue.start(name, who, lambda: _of(run_command("correct", corrected), _CORRECTED))
        if name == "audit":
            target = sent.get("target")
            if target is not None and target not in self._copies():
                raise InputError("only what was corrected here is audited again.", key="target")
            audited = audit_config(config, session.reader.run, target)
            return self._queue.start(name, who, lambda: self._audit(audited))
        raise InputError(f"there is no action {str(name)[:80]!r}.", key="name")

    def _copies(self) -> set[str]:
        done = [job["result"] for job in self._queue.all() if job["name"] == "correct"]
        return {result["target"] for result in done if result.get("target")}

    def _audit(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Audit again, and compare with the audit before."""
        before = self._session.reader.run.ref
        found = _of(run_command("audit", config), _AUDITED)
        found["before"] = {name: getattr(before, name) for name in _AUDITED if hasattr(before, name)}
        own = {name: config[name] for name in ("output", "engine", "tracking") if name in config}
        wanted = {"compare": {"run": found["run_id"], "against": before.run_id}, **own}
        compared = run_command("compare", wanted)
        found |= {name: compared.get(name) for name in ("rows", "cells", "notes")}
        return found

    def changes(self) -> dict[str, Any]:
        """What a correction would change."""
        return planned_changes(self._session)

    def corrections(self) -> list[dict[str, Any]]:
        """Corrections of this output, the newest first."""
        return self._session.reader.corrections()

    def open_newest(self) -> str:
        """Review the newest run of the output from now on; its id."""
        session = self._session
        newest = session.reader.newest()
        if newest.run.run_id != session.reader.run.run_id:
            session.open(newest)
        return session.reader.run.run_id

    def download(self, name: str) -> tuple[bytes, str] | None:
        """A file and its type; None where there is none of that name."""
        what, _, kind = name.rpartition(".")
        if kind not in FORMATS:
            return None
        if what == "decisions":
            return as_file(decisions_table(self._session), kind), FORMATS[kind]
        if what == "list":
            return as_file(list_table(self._session), kind), FORMATS[kind]
        if what == "corrected":
            found = self._session.reader.corrected()
            return None if found is None else (as_file(found, kind), FORMATS[kind])
        return None

    def close(self) -> None:
        """Start no further jobs."""
        self._queue.close()


def _of(result: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: result[name] for name in names if name in result}
