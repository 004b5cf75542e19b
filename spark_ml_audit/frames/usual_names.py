"""What columns are usually called, the likeliest name first: for `init`, and where a column is not there."""

from __future__ import annotations

IDS = (
    "id", "row_id", "example_id", "item_id", "doc_id", "ids", "uid", "uuid", "guid", "key", "pk", "hash",
    "url", "uri", "index", "idx", "name",
)  # fmt: skip
LABELS = (
    "labels", "tags", "label", "tag", "given_labels", "given_tags", "true_labels", "genres", "categories",
    "topics", "genre", "category", "topic", "targets", "target", "classes", "class", "annotations",
    "emotions", "y", "y_true", "keywords", "subjects", "codes",
)  # fmt: skip
PROBS = (
    "pred_probs", "pred_prob", "probs", "prob", "probabilities", "proba", "probas", "pred_proba",
    "predict_proba", "y_proba", "y_prob", "y_score", "y_pred", "probability", "scores", "score",
    "predictions", "prediction", "confidences", "logits", "outputs", "p",
)  # fmt: skip
PROB_PREFIXES = (
    "p", "prob", "probs", "proba", "pred", "score", "probability", "preds", "pred_prob", "pred_probs",
    "scores", "y_prob", "y_score", "conf", "confidence",
)  # fmt: skip
"""What stands before a tag's name and an underscore where every tag has a column of its own."""
PROB_SUFFIXES = ("prob", "probs", "proba", "probability", "pred", "score", "scores", "conf", "confidence")
"""What stands behind it."""
