"""Where the demo's data lie inside the installed package, and what their schema metadata say."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

_FILE_NAME, _NEW_FILE_NAME = "debtags.parquet", "new_packages.jsonl"


@dataclass(frozen=True)
class EvidenceTable:
    """What the demo's check against independent evidence needs to know of every package.

    Attributes:
        ids: Package names, N of them, without repeats.
        given: The given tags of each package, restricted to the classes of the audit.
        proved: The tags of each package which its dependencies or its archive section prove.
        classes: The classes for which a rule exists that can prove them, sorted.
    """

    ids: list[str]
    given: list[list[str]]
    proved: list[list[str]]
    classes: list[str]


def demo_file() -> Path:
    """Path of the shipped Parquet file.

    Returns:
        The path of a file with the columns `id`, `text`, `labels`, `section`, `depends` and
        `evidence_labels`, described in `README.md` beside it.

    Raises:
        FileNotFoundError: The package was installed without its data.
    """
    return _shipped(_FILE_NAME)


def new_packages() -> pa.Table:
    """Descriptions of 20 packages that are not among those of the demo: `id` and `text`, without tags.

    Raises:
        FileNotFoundError: The package was installed without its data.
    """
    lines = _shipped(_NEW_FILE_NAME).read_text(encoding="utf-8").splitlines()
    return pa.Table.from_pylist([json.loads(line) for line in lines])


def demo_classes() -> list[str]:
    """The classes of the demo in their order (K = 130 strings): the tags with at least 100 uses."""
    return _string_list("classes")


def demo_evidence() -> EvidenceTable:
    """Given and proved tags of every package of the demo (see `EvidenceTable`)."""
    columns = pq.read_table(demo_file(), columns=["id", "labels", "evidence_labels"]).to_pydict()
    known = set(demo_classes())
    return EvidenceTable(
        ids=columns["id"],
        given=[[tag for tag in tags if tag in known] for tags in columns["labels"]],
        proved=columns["evidence_labels"],
        classes=_string_list("evidence_classes"),
    )


def _shipped(name: str) -> Path:
    path = Path(str(files(__package__).joinpath("data", name)))
    if not path.is_file():
        raise FileNotFoundError(
            f"the demo's data set is not at {path}: reinstall spark-ml-audit, "
            "or build the file with `python -m spark_ml_audit.demo.build_debtags`"
        )
    return path


def _string_list(key: str) -> list[str]:
    metadata = pq.read_schema(demo_file()).metadata
    return [str(name) for name in json.loads(metadata[key.encode()])]
