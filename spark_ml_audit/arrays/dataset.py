"""How good the labels of a data set are, class by class and as a whole.

As `cleanlab.multilabel_classification.dataset`; tables are pandas DataFrames.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from spark_ml_audit.arrays.flags import row_mask
from spark_ml_audit.arrays.label_lists import IntArray
from spark_ml_audit.arrays.labelled import Labelled
from spark_ml_audit.arrays.options import joint_of, names_of, yes_or_no
from spark_ml_audit.errors import ConfigError
from spark_ml_audit.kernels.confident_joint import class_quality
from spark_ml_audit.kernels.cutoffs import Cutoffs
from spark_ml_audit.kernels.resolve import PruneOptions

if TYPE_CHECKING:
    import pandas as pd

_FILTER = "prune_by_noise_rate"
# Of a printed table.
_MOST_LINES = 60


@dataclass(frozen=True)
class ClassIssues:
    """What was found in each class.

    Attributes:
        data: The rows.
        missing: Labels that are missing, shape (K,).
        extraneous: Given labels that are wrong, shape (K,).
        cutoffs: What flags them.
    """

    data: Labelled
    missing: IntArray
    extraneous: IntArray
    cutoffs: Cutoffs

    @classmethod
    def find(cls, labels: Any, pred_probs: Any, confident_joint: Any) -> ClassIssues:
        """Of the arguments as given."""
        data = Labelled.from_arguments(labels, pred_probs)
        joint = joint_of(confident_joint, _FILTER, data.pred_probs.shape[1])
        found = data.resolve(PruneOptions(_FILTER), joint)
        return cls(data, found.num_missing, found.num_extraneous, found.cutoffs)

    def common(self, class_names: Any) -> pd.DataFrame:
        """Table of the kinds of issue, the most frequent first, equal ones in class order."""
        import pandas as pd

        size = len(self.missing)
        names = names_of(class_names, size)
        classes = np.repeat(np.arange(size), 2)
        was_given = np.tile([True, False], size)
        counts = np.stack([self.extraneous, self.missing], axis=1).ravel()
        table = pd.DataFrame(
            {
                "Class Index": classes,
                "In Given Label": was_given,
                "In Suggested Label": ~was_given,
                "Num Examples": counts,
                "Issue Probability": self._share(counts),
            }
        )
        if names is not None:
            table.insert(0, "Class Name", [name for name in names for _ in range(2)])
        return table.sort_values("Issue Probability", ascending=False, kind="stable", ignore_index=True)

    def by_quality(self, class_names: Any) -> pd.DataFrame:
        """Table of the classes, the lowest quality first, equal ones in class order."""
        import pandas as pd

        names = names_of(class_names, len(self.missing))
        quality = class_quality(self.missing, self.extraneous, self.data.labels.num_rows)
        table = pd.DataFrame(
            {
                "Class Index": np.arange(len(self.missing)),
                "Label Issues": self.extraneous,
                "Inverse Label Issues": self.missing,
                "Label Noise": quality.label_noise,
                "Inverse Label Noise": quality.inverse_label_noise,
                "Label Quality Score": quality.label_quality,
            }
        )
        if names is not None:
            table.insert(0, "Class Name", names)
        return table.sort_values("Label Quality Score", kind="stable", ignore_index=True)

    def health(self) -> float:
        """Share of examples without an issue; NaN without examples."""
        mask = row_mask(self.data, _FILTER, self.cutoffs)
        return 1.0 - float(self._share(np.array([np.count_nonzero(mask)]))[0])

    def _share(self, counts: IntArray) -> npt.NDArray[np.float64]:
        num_rows = self.data.labels.num_rows
        return counts / num_rows if num_rows else np.full(len(counts), np.nan)


def common_multilabel_issues(
    labels: Any = None, pred_probs: Any = None, *, class_names: Any = None, confident_joint: Any = None
) -> pd.DataFrame:
    """How often each class is given without need, and how often it is missing.

    Args:
        labels: Given labels of n examples: lists of class indices, a multi-hot array or a SciPy sparse
            matrix (`inputs.as_labels`).
        pred_probs: Predicted probabilities, best out of sample, shape (n, K) (`inputs.as_pred_probs`).
        class_names: K names in the order of the class indices, for a column of them.
        confident_joint: Counts by [class, given, true], shape (K, 2, 2), in place of the estimated ones.

    Returns:
        A DataFrame with two rows per class and the columns Class Name (with names), Class Index, In Given
        Label, In Suggested Label, Num Examples and Issue Probability (share of all examples), the most
        frequent issue first, equal ones in class order.

    Raises:
        InputError: Labels or probabilities cannot be used.
        ConfigError: Another argument cannot.

    Example:
        >>> labels = [[0], [0], [0], [], [], []]
        >>> pred_probs = np.array([[0.9], [0.8], [0.1], [0.2], [0.1], [0.3]])
        >>> common_multilabel_issues(labels, pred_probs, class_names=["cat"])["Num Examples"].tolist()
        [1, 0]
    """
    return ClassIssues.find(labels, pred_probs, confident_joint).common(class_names)


def rank_classes_by_multilabel_quality(
    labels: Any = None,
    pred_probs: Any = None,
    *,
    class_names: Any = None,
    joint: Any = None,
    confident_joint: Any = None,
) -> pd.DataFrame:
    """The classes by the quality of their labels, the worst first.

    Args:
        labels: As for `common_multilabel_issues`.
        pred_probs: As for `common_multilabel_issues`.
        class_names: As for `common_multilabel_issues`.
        joint: The same as `confident_joint`, which cleanlab takes under this name.
        confident_joint: As for `common_multilabel_issues`.

    Returns:
        A DataFrame with a row per class and the columns Class Name (with names), Class Index, Label Issues
        (given labels that are wrong), Inverse Label Issues (labels that are missing), Label Noise and Inverse
        Label Noise (their shares of all examples) and Label Quality Score (1 - Label Noise), equal ones in
        class order.

    Raises:
        InputError: Labels or probabilities cannot be used.
        ConfigError: Another argument cannot.

    Example:
        >>> labels = [[0], [0], [0], [], [], []]
        >>> pred_probs = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.1], [0.2, 0.3], [0.1, 0.2], [0.3, 0.1]])
        >>> table = rank_classes_by_multilabel_quality(labels, pred_probs)
        >>> table[["Class Index", "Label Issues", "Label Quality Score"]].round(3).to_numpy().tolist()
        [[0.0, 1.0, 0.833], [1.0, 0.0, 1.0]]
    """
    if joint is not None and confident_joint is not None:
        raise ConfigError("there are two.", key="joint", fix="Give it or confident_joint, they are the same.")
    used = confident_joint if joint is None else joint
    return ClassIssues.find(labels, pred_probs, used).by_quality(class_names)


def overall_multilabel_health_score(
    labels: Any = None, pred_probs: Any = None, *, confident_joint: Any = None
) -> float:
    """Share of examples without an issue, 0 to 1.

    Args:
        labels: As for `common_multilabel_issues`.
        pred_probs: As for `common_multilabel_issues`.
        confident_joint: As for `common_multilabel_issues`.

    Returns:
        The share; NaN without examples.

    Raises:
        InputError: Labels or probabilities cannot be used.
        ConfigError: The confident joint cannot.

    Example:
        >>> labels = [[0], [0], [0], [], [], []]
        >>> pred_probs = np.array([[0.9], [0.8], [0.1], [0.2], [0.1], [0.3]])
        >>> round(overall_multilabel_health_score(labels, pred_probs), 3)
        0.833
    """
    return ClassIssues.find(labels, pred_probs, confident_joint).health()


def multilabel_health_summary(
    labels: Any = None,
    pred_probs: Any = None,
    *,
    class_names: Any = None,
    num_examples: int | None = None,
    confident_joint: Any = None,
    verbose: bool = True,
) -> dict[str, Any]:
    """All of the above at once, printed.

    Args:
        labels: As for `common_multilabel_issues`.
        pred_probs: As for `common_multilabel_issues`.
        class_names: As for `common_multilabel_issues`.
        num_examples: Number of examples; nothing but n.
        confident_joint: As for `common_multilabel_issues`.
        verbose: Whether to print it.

    Returns:
        ``overall_multilabel_health_score``, ``classes_by_multilabel_quality`` and
        ``common_multilabel_issues``: what the functions of these names return (the second:
        `rank_classes_by_multilabel_quality`).

    Raises:
        InputError: Labels or probabilities cannot be used.
        ConfigError: Another argument cannot.

    Example:
        >>> labels = [[0], [0], [0], [], [], []]
        >>> pred_probs = np.array([[0.9], [0.8], [0.1], [0.2], [0.1], [0.3]])
        >>> summary = multilabel_health_summary(labels, pred_probs, verbose=False)
        >>> round(summary["overall_multilabel_health_score"], 3)
        0.833
    """
    tells = yes_or_no("verbose", verbose)
    found = ClassIssues.find(labels, pred_probs, confident_joint)
    num_rows = found.data.labels.num_rows
    if num_examples is not None and num_examples != num_rows:
        raise ConfigError(
            f"found {num_examples!r}, there are {num_rows}.", key="num_examples", fix="Leave it out."
        )
    summary = {
        "overall_multilabel_health_score": found.health(),
        "classes_by_multilabel_quality": found.by_quality(class_names),
        "common_multilabel_issues": found.common(class_names),
    }
    if tells:
        _tell(summary, num_rows)
    return summary


def _tell(summary: dict[str, Any], num_rows: int) -> None:
    score = summary["overall_multilabel_health_score"]
    _say(f"Labels of {num_rows:,} examples: {score:.2%} have no issue\n")
    _say("Classes, lowest label quality first:\n")
    _show(summary["classes_by_multilabel_quality"])
    _say("\nKinds of issues, most frequent first:\n")
    _show(summary["common_multilabel_issues"])


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def _show(table: pd.DataFrame) -> None:
    """In a notebook as a table, else as text."""
    display = getattr(sys.modules.get("IPython"), "display", None)
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is not None and type(shell).__name__ == "ZMQInteractiveShell" and display is not None:
        display.display(table)
    else:
        _say(table.to_string(max_rows=_MOST_LINES))
