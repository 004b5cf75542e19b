"""The process that serves one tracker (see `beside`): verb after verb, until the pipe ends."""

from __future__ import annotations

import os
import pickle
import sys
from typing import Any

from spark_ml_audit.tracking.tracker import AuditTracker

_NICE = 10
# What the other side shows of the tracker.
_SHOWN = ("problems", "notes", "mlflow_run_id", "is_dead")


def main() -> None:
    """Serve what standard input asks for, and end with it."""
    # the audit goes first: what is done here is wanted at its end
    os.nice(_NICE)
    asked, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    # whatever prints here prints to people, not into the answers
    os.dup2(2, 1)
    try:
        tracker = AuditTracker(**pickle.load(asked))  # noqa: S301 - from the process that started this one
        tracker.prefetch()
        while True:
            number, message = pickle.load(asked)  # noqa: S301 - as above
            pickle.dump((number, _answered(tracker, *message)), answers)
            answers.flush()
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        pass
    # nothing here is worth tidying up, and MLflow may be in the middle of its import
    os._exit(0)


def _answered(
    tracker: AuditTracker,
    verb: str,
    arguments: tuple[Any, ...],
    options: dict[str, Any],
    own: tuple[Any, list[str]],
) -> tuple[Any, dict[str, Any]]:
    tracker.source, added = own
    tracker.problems += added
    found = getattr(tracker, verb)(*arguments, **options)
    return found, {name: getattr(tracker, name) for name in _SHOWN}


if __name__ == "__main__":
    main()
