"""Command line of the builder: `python -m spark_ml_audit.demo.build_debtags`."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from spark_ml_audit.demo.build_debtags.evidence_rules import RULES
from spark_ml_audit.demo.build_debtags.index import Index, Package, read_apt, read_files, tagged_packages

MIN_USES = 100

_log = logging.getLogger("spark_ml_audit.demo.build_debtags")


def frequent_classes(packages: Sequence[Package]) -> list[str]:
    """The tags with at least `MIN_USES` uses, sorted."""
    uses = Counter(tag for package in packages for tag in package.tags)
    return sorted(tag for tag, count in uses.items() if count >= MIN_USES)


def raw_table(packages: Sequence[Package]) -> dict[str, pa.Array]:
    """Texts and all tags: what a user's table looks like before any model."""
    return {
        "id": pa.array([package.name for package in packages], pa.string()),
        "text": pa.array([package.text for package in packages], pa.string()),
        "labels": _strings([package.tags for package in packages]),
        "section": pa.array([package.section for package in packages], pa.string()),
        "depends": _strings([package.depends for package in packages]),
        "evidence_labels": _strings([package.evidence for package in packages]),
    }


def write(path: Path, columns: dict[str, pa.Array], classes: Sequence[str], origin: Sequence[str]) -> None:
    """Writes one Parquet file: a single row group, dictionaries for all columns but the texts, zstd."""
    metadata = {
        "classes": json.dumps(list(classes)),
        "evidence_classes": json.dumps(sorted({rule.tag for rule in RULES} & set(classes))),
        "source": json.dumps(list(origin)),
    }
    table = pa.table(columns).replace_schema_metadata(metadata)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        table,
        path,
        row_group_size=table.num_rows,
        # One page per column: zstd then sees the whole column at once.
        data_page_size=64 << 20,
        max_rows_per_page=table.num_rows,
        compression="zstd",
        compression_level=22,
        use_dictionary=[name for name in _leaves(table.schema) if name not in ("id", "text")],
        dictionary_pagesize_limit=16 << 20,
        write_statistics=False,
    )
    _log.info("%s: %d rows, %d bytes", path, table.num_rows, path.stat().st_size)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the builder; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m spark_ml_audit.demo.build_debtags", description=__doc__)
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(__file__).parents[1] / "data" / "debtags.parquet",
        help="file to write (default: the one shipped with the package)",
    )
    parser.add_argument("--packages", type=Path, nargs="+", default=[], help="Packages files, later ones win")
    parser.add_argument("--translations", type=Path, nargs="+", default=[], help="Translation-en files")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        index: Index = read_files(options.packages, options.translations) if options.packages else read_apt()
        packages = tagged_packages(index)
    except (OSError, RuntimeError) as error:
        _log.error("%s", error)
        return 2
    classes = frequent_classes(packages)
    _log.info("%s", "; ".join(index.origin))
    num_tags = len({tag for package in packages for tag in package.tags})
    _log.info("%d packages, %d tags, %d with %d uses", len(packages), num_tags, len(classes), MIN_USES)
    write(options.out, raw_table(packages), classes, index.origin)
    return 0


def _strings(rows: Sequence[Sequence[str]]) -> pa.Array:
    return pa.array(rows, pa.list_(pa.string()))


def _leaves(schema: pa.Schema) -> list[str]:
    # Parquet names the values of a list column by their path.
    return [f"{field.name}.list.element" if pa.types.is_list(field.type) else field.name for field in schema]


if __name__ == "__main__":
    sys.exit(main())
