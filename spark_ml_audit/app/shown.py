"""Tags as pages show them, the report among them: shortened, and made fit to be shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spark_ml_audit.errors import InputError
from spark_ml_audit.text import for_page

SHOWN_TAG = 200
"""Letters of a tag that pages show."""


def tags_as_shown(parameters: Mapping[str, str], classes: Sequence[str]) -> dict[str, str]:
    """Parameters of an address with tags by their own names, whose tags are written as pages show them.

    Args:
        parameters: Of the address; `tag` and `instead` hold tags.
        classes: The tags.

    Returns:
        The parameters; a text that is no tag, and that no tag is shown as, stays as it is.

    Raises:
        InputError: Several tags are shown alike.

    Example:
        >>> tags_as_shown({"tag": "x" * 199 + "\u2026", "view": "cell"}, ["x" * 300, "y"])["tag"] == "x" * 300
        True
    """
    found = dict(parameters)
    for key in ("tag", "instead"):
        told = found.get(key)
        if not told:
            continue
        alike = [tag for tag in classes if for_page(tag, SHOWN_TAG) == told]
        if told not in classes and len(alike) == 1:
            found[key] = alike[0]
        elif len(alike) > 1 and told not in alike:
            raise InputError(f"several tags are shown as {told[:80]!r}: choose one on the overview.", key=key)
    return found
