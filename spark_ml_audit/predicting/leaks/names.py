"""What a column's name says of it: that it holds labels, who gave them, or one tag."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_LABELS = _words(
    "label labels labelled labeled gold truth groundtruth true ytrue backup bak annotation annotations "
    "annotated"
)
# words that mean labels alone only: a target audience is a feature
_ALONE = _words("target targets y")
# beside the name of the labels' own column they make another edition of it
_EDITIONS = _words(
    "old new orig original copy prev previous last raw clean cleaned final corrected fixed noisy given "
    "suggested predicted pred preds prediction predictions v ver version idx index indices encoded code "
    "codes str string json primary secondary main extra manual auto"
)
_ANNOTATORS = _words(
    "annotator annotators rater raters labeler labelers labeller labellers turker turkers tagger taggers"
)
# names of other things too, unless their ids are meant
_PERHAPS_ANNOTATORS = _words("ann anno worker workers coder coders judge judges reviewer reviewers")
_IDS = _words("id ids name names")
_DONE = _words("annotated labelled labeled tagged rated coded")
_OF_ONE_TAG = _words("is has p prob proba probability score pred predicted flag y") | _LABELS
_NUMBERED_ANNOTATORS = _ANNOTATORS | _PERHAPS_ANNOTATORS - {"ann", "anno"}

_IDENTIFIER_WORDS = frozenset(
    {"id", "ids", "uuid", "guid", "key", "index", "idx", "rownum", "row", "unnamed"}
)

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_PARTS = re.compile(r"\d+|[^\W\d_]+")


def name_tokens(name: str) -> tuple[str, ...]:
    """The words and numbers of a name, in lower case.

    >>> name_tokens("trueGenres_v2"), name_tokens("GOLD-Label")
    (('true', 'genres', 'v', '2'), ('gold', 'label'))
    """
    return tuple(part.casefold() for part in _PARTS.findall(_CAMEL.sub(" ", name)))


def named_like_labels(name: str, labels: Sequence[str]) -> str | None:
    """Why a column seems to hold labels, from its name; None for no reason.

    Args:
        name: Of the column.
        labels: Names of the label columns.

    Example:
        >>> named_like_labels("true_genres", ["genres"]), named_like_labels("goldfish", ["genres"])
        ("named like labels ('true')", None)
        >>> named_like_labels("genres_v2", ["genres"]), named_like_labels("genre_count", ["genres"])
        ("named like the labels' column 'genres'", None)
    """
    tokens = name_tokens(name)
    hits = [token for token in tokens if token in _LABELS or (token in _ALONE and len(tokens) == 1)]
    if hits:
        return f"named like labels ('{hits[0]}')"
    stems = {_stem(token) for token in tokens}
    for label in labels:
        own = name_tokens(label)
        rest = stems - {_stem(token) for token in own}
        # survey questions are numbered: q1_2 is no edition of q1
        editions = {token for token in rest if token in _EDITIONS or _is_edition_number(token, own)}
        if own and {_stem(token) for token in own} <= stems and rest == editions:
            return f"named like the labels' column '{label}'"
    return None


def _is_edition_number(token: str, own: Sequence[str]) -> bool:
    return token.isdecimal() and not any(part.isdecimal() for part in own) and len("".join(own)) > 3


def _stem(token: str) -> str:
    if token in _EDITIONS:
        return token
    if token.endswith("ies") and len(token) > 4:
        return f"{token[:-3]}y"
    return token[:-1] if token.endswith("s") and not token.endswith("ss") and len(token) > 3 else token


def named_like_annotator(name: str) -> str | None:
    """Why a column seems to say who gave the labels, from its name; None for no reason.

    >>> named_like_annotator("RaterId"), named_like_annotator("worker_id"), named_like_annotator("judge")
    ("named like annotators ('rater')", "named like annotators ('worker')", None)
    >>> named_like_annotator("tagged_by")
    "named like annotators ('tagged by')"
    """
    tokens = name_tokens(name)
    sure = [token for token in tokens if token in _ANNOTATORS]
    if not sure and _IDS & set(tokens):
        sure = [token for token in tokens if token in _PERHAPS_ANNOTATORS]
    for first, then in pairwise(tokens):
        if first in _DONE and then == "by":
            sure.insert(0, f"{first} by")
    return f"named like annotators ('{sure[0]}')" if sure else None


def values_name_annotators(values: Iterable[str]) -> bool:
    """Whether nearly all values are names such as annotator_7.

    >>> values_name_annotators(["annotator_7", "Worker 12"]), values_name_annotators(["worker", "judge"])
    (True, False)
    """
    hits = total = 0
    for value in values:
        tokens = set(name_tokens(value))
        total += 1
        numbered = any(token.isdecimal() for token in tokens)
        # workers and judges without numbers are people in the data
        hits += len(tokens) <= 3 and bool(tokens & (_NUMBERED_ANNOTATORS if numbered else _ANNOTATORS))
    return total > 0 and hits >= 0.9 * total


def tag_named(name: str, classes: Sequence[str]) -> str | None:
    """The class that a column is named after, as is_comedy is; None for none.

    >>> tag_named("is_comedy", ["Drama", "Comedy"]), tag_named("comedians", ["Comedy"])
    ('Comedy', None)
    """
    tokens = name_tokens(name)
    wanted = {tokens, tuple(token for token in tokens if token not in _OF_ONE_TAG)} - {()}
    return next((tag for tag in classes if name_tokens(tag) in wanted), None)


def named_like_identifier(name: str) -> bool:
    """Whether a name says that a column tells rows apart.

    >>> named_like_identifier("video_id"), named_like_identifier("Unnamed: 0"), named_like_identifier("width")
    (True, True, False)
    """
    return bool(_IDENTIFIER_WORDS & set(name_tokens(name)))
