"""What the page does beside deciding: correct, take back, audit again, compare, and files to download."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from spark_ml_audit.app.changes import planned_changes
from spark_ml_audit.app.commands import MODES, audit_config, correct_config, run_command
from spark_ml_audit.app.downloads import FORMATS, as_file, decisions_table, list_table
from spark_ml_audit.app.jobs import JobQueue
from spark_ml_audit.app.sent import MOST_ID, MOST_NAME, RUN, Sent, one_of, text_of
from spark_ml_audit.app.session import ReviewSession
from spark_ml_audit.errors import InputError

if TYPE_CHECKING:
    from spark_ml_audit.config.serve import ServeConfig

_JOBS = ("correct", "undo", "audit")
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

    @property
    def decide_command(self) -> str:
        """The command that imports what the page could not store."""
        return self._config.output.command("decide", {"decide.file": "set-aside.csv"})

    def jobs(self) -> list[dict[str, Any]]:
        """All jobs, the newest first."""
        return self._queue.all()

    def start(self, sent: Sent, who: str) -> dict[str, Any]:
        """Start a job.

        Args:
            sent: name (correct, undo or audit), what it needs, and run_id if the page says it.
            who: The person.

        Raises:
            OtherRunError: It is about another run than the one that is served.
            InputError: There is no such job, or it lacks something.
        """
        name, run = one_of(sent, "name", _JOBS), self._session.answering(text_of(sent, RUN, MOST_NAME)).run
        if name == "audit":
            target = text_of(sent, "target", MOST_ID) or None
            if target is not None and target not in self._copies():
                raise InputError("only what was corrected here is audited again.", key="target")
            audited = audit_config(self._config, run, target)
            return self._queue.start(name, who, lambda: self._audit(audited, run.ref))
        undo = text_of(sent, "undo", MOST_NAME)
        if name == "undo" and not undo:
            raise InputError("a correction is taken back by its id.", key="undo")
        mode = one_of({"mode": "copy", **sent}, "mode", MODES)
        corrected = correct_config(self._config, run, mode, undo or None)
        return self._queue.start(name, who, lambda: _of(run_command("correct", corrected), _CORRECTED))

    def _copies(self) -> set[str]:
        done = [job["result"] for job in self._queue.all() if job["name"] == "correct"]
        return {result["target"] for result in done if result.get("target")}

    def _audit(self, config: Mapping[str, Any], before: Any) -> dict[str, Any]:
        """Audit again, and compare with the audit before."""
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
