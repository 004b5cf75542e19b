"""cleanlab on the generated table, in a process of its own: once timed, once to compare every cell."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from cleanlab.internal.multilabel_utils import int2onehot
from cleanlab.multilabel_classification import get_label_quality_scores
from cleanlab.multilabel_classification.filter import find_label_issues, find_multilabel_issues_per_class
from deltalake import DeltaTable

from tests.benchmarks.table import class_names, read_labels, row_of

# Each costs a look at a column; so many differences would not be ties anyway.
_MOST_TIES = 1000


def audit(folder: Path, num_classes: int) -> dict[str, Any]:
    """What a user of cleanlab runs; its own default takes all physical cores."""
    seconds = {}
    started = time.monotonic()
    labels, probs = read_labels(folder, num_classes)
    seconds["read"] = time.monotonic() - started
    started = time.monotonic()
    issues = find_label_issues(labels, probs)
    seconds["find_label_issues"] = time.monotonic() - started
    started = time.monotonic()
    scores = get_label_quality_scores(labels, probs)
    seconds["get_label_quality_scores"] = time.monotonic() - started
    return {
        "stages": {name: round(value, 2) for name, value in seconds.items()},
        "num_label_issues": int(issues.sum()),
        "mean_score": float(scores.mean()),
    }


def compare(folder: Path, num_classes: int, tables: Path) -> dict[str, Any]:
    """Compare an audit's tables  with cleanlab: every cell's flag and every row's score."""
    labels, probs = read_labels(folder, num_classes)
    theirs = find_multilabel_issues_per_class(labels, probs)
    scores = get_label_quality_scores(labels, probs)
    given = int2onehot(labels, K=num_classes)
    del labels

    issues = DeltaTable(str(tables / "tag_issues")).to_pyarrow_table(columns=["id", "tag", "issue"])
    rows = row_of(issues.column("id"))
    names = class_names(num_classes)
    cols = pc.index_in(issues.column("tag"), value_set=pa.array(names)).to_numpy()
    ours = np.zeros(theirs.shape, dtype=bool)
    ours[rows, cols] = True
    wrong_kind = int(
        (given[rows, cols].astype(bool) != pc.equal(issues.column("issue"), "extraneous").to_numpy()).sum()
    )
    differing = np.argwhere(ours != theirs)

    columns = ["id", "label_quality_score", "is_label_issue"]
    examples = DeltaTable(str(tables / "examples")).to_pyarrow_table(columns=columns)
    position = row_of(examples.column("id"))
    score_difference = np.abs(scores[position] - examples.column("label_quality_score").to_numpy())
    row_flags = examples.column("is_label_issue").to_numpy()
    return {
        "rows": len(ours),
        "cells": int(ours.size),
        "cells_flagged": int(theirs.sum()),
        "cells_differing": len(differing),
        "of_them_ties": sum(_is_tie(ours, theirs, probs, given, *cell) for cell in differing[:_MOST_TIES]),
        "cells_of_wrong_kind": wrong_kind,
        "rows_flagged": int(theirs.any(axis=1).sum()),
        "rows_differing": int((theirs.any(axis=1)[position] != row_flags).sum()),
        "rows_missing": len(ours) - len(np.unique(position)),
        "largest_score_difference": float(score_difference.max(initial=0.0)),
    }


def _is_tie(ours: Any, theirs: Any, probs: Any, given: Any, row: int, col: int) -> bool:
    """Whether a cell that only one side flags equals, by q - p in the column's dtype, a cell both flag."""
    margin = (1 - probs[:, col]) - probs[:, col]
    side = given[:, col] == given[row, col]
    both = ours[:, col] & theirs[:, col] & side
    return bool((margin[both] == margin[row]).any())


def main() -> None:
    """Entry point of the child process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--classes", type=int, required=True)
    parser.add_argument("--compare", type=Path, help="folder of the audit's tables")
    options = parser.parse_args()
    if options.compare is None:
        print(json.dumps(audit(options.source, options.classes)))
    else:
        print(json.dumps(compare(options.source, options.classes, options.compare)))


if __name__ == "__main__":
    main()
