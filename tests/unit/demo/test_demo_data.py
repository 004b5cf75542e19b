"""The shipped demo data, the check against evidence, and the builder on an index of its own."""

from __future__ import annotations

import gzip
import json
import lzma
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spark_ml_audit.demo.build_debtags.__main__ import main as build
from spark_ml_audit.demo.build_debtags.evidence_rules import RULES, proved_tags
from spark_ml_audit.demo.build_debtags.index import read_files, tagged_packages
from spark_ml_audit.demo.dataset import demo_classes, demo_evidence, demo_file, new_packages
from spark_ml_audit.demo.evidence import check_against_evidence

PACKAGES = """\
Package: viewer
Version: 1
Depends: libgtk-3-0 (>= 3.2), libc6 | libc6.1:any, python3:any
Pre-Depends: dpkg (>= 1.17)
Description: shows pictures
Description-md5: 11
Section: graphics
Tag: role::program, uitoolkit::TODO,
 works-with::image

Package: untagged
Description: nothing
Description-md5: 12
Section: misc

Package: placeholder
Description: nothing yet
Description-md5: 13
Section: misc
Tag: role::TODO

Package: chess
Description: old entry
Description-md5: 14
Section: misc
Tag: role::program
"""
NEWER = """\
Package: chess
Description: plays chess
Description-md5: 15
Section: contrib/games
Tag: role::program
"""
TRANSLATIONS = """\
Package: viewer
Description-md5: 11
Description-en: shows pictures
 First\rline.
 .
  * indented

Package: chess
Description-md5: 14
Description-en: old entry
 of no use
"""


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return pq.read_table(demo_file())


def test_data_ship_with_attribution_and_stay_small() -> None:
    folder = demo_file().parent
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 5_000_000
    attribution = (folder / "README.md").read_text(encoding="utf-8")
    assert "Debtags project" in attribution
    assert "spark_ml_audit.demo.build_debtags" in attribution


def test_the_shipped_table_holds_texts_tags_and_evidence(table: pa.Table) -> None:
    assert {field.name: str(field.type) for field in table.schema} == {
        "id": "string",
        "text": "string",
        "labels": "list<element: string>",
        "section": "string",
        "depends": "list<element: string>",
        "evidence_labels": "list<element: string>",
    }
    assert all(column.null_count == 0 for column in table.columns)


def test_rows_are_the_tagged_packages_of_the_release(table: pa.Table) -> None:
    ids = table["id"].to_pylist()
    # A few packages fewer with every security update.
    assert 29_500 <= len(ids) <= 30_000
    assert len(set(ids)) == len(ids)
    texts = table["text"].to_pylist()
    assert all(text.startswith(f"{name}: ") for name, text in zip(ids, texts, strict=True))
    assert "bookworm" in table.schema.metadata[b"source"].decode()


def test_the_classes_are_the_tags_with_a_hundred_uses(table: pa.Table) -> None:
    classes = demo_classes()
    assert len(set(classes)) == len(classes) == 130
    uses = table["labels"].combine_chunks().flatten().value_counts().to_pylist()
    assert {entry["values"] for entry in uses if entry["counts"] >= 100} == set(classes)
    assert {tag for tags in demo_evidence().given for tag in tags} == set(classes)


def test_evidence_follows_from_section_and_dependencies(table: pa.Table) -> None:
    rows = table.select(["section", "depends", "evidence_labels"]).to_pylist()
    assert all(row["evidence_labels"] == proved_tags(row["section"], row["depends"]) for row in rows)
    assert len({rule.tag for rule in RULES}) == 23
    assert demo_evidence().classes == sorted({rule.tag for rule in RULES} & set(demo_classes()))
    assert len(demo_evidence().classes) == 18


def test_few_of_the_tags_not_given_are_proved() -> None:
    evidence = demo_evidence()
    check = check_against_evidence(
        [], ids=evidence.ids, given=evidence.given, proved=evidence.proved, classes=evidence.classes
    )
    assert check.base_rate == pytest.approx(0.0067, abs=2e-4)


def test_check_looks_only_at_the_first_tags_of_classes_with_a_rule() -> None:
    check = check_against_evidence(
        [("a", "free"), ("a", "x"), ("b", "y"), ("b", "x")],
        ids=["a", "b"],
        given=[["y", "free"], []],
        proved=[["x"], ["x", "elsewhere"]],
        classes=["x", "y"],
        first=2,
    )
    assert (check.num_checked, check.num_proved, check.num_classes) == (2, 1, 2)
    assert (check.num_cells, check.num_proved_cells) == (3, 2)
    assert check.precision == 0.5
    assert check.base_rate == pytest.approx(2 / 3)
    assert "Of the 2 surest missing tags" in check.sentence()


def test_check_of_nothing_is_zero() -> None:
    check = check_against_evidence([], ids=[], given=[], proved=[], classes=[])
    assert (check.precision, check.base_rate) == (0.0, 0.0)


def test_check_refuses_another_tables_ids() -> None:
    with pytest.raises(ValueError, match="'stranger'"):
        check_against_evidence([("stranger", "x")], ids=["a"], given=[[]], proved=[[]], classes=["x"])
    with pytest.raises(ValueError, match="one length"):
        check_against_evidence([], ids=["a"], given=[], proved=[[]], classes=["x"])


def test_builder_reads_an_index(tmp_path: Path) -> None:
    first, second, texts = tmp_path / "a.gz", tmp_path / "b", tmp_path / "t.xz"
    first.write_bytes(gzip.compress(PACKAGES.encode()))
    second.write_bytes(NEWER.encode())
    texts.write_bytes(lzma.compress(TRANSLATIONS.encode()))
    chess, viewer = tagged_packages(read_files([first, second], [texts]))
    assert (chess.text, chess.section, chess.depends) == ("chess: plays chess", "games", ())
    assert chess.evidence == ("use::gameplaying",)
    assert viewer.text == "viewer: shows pictures First\rline.   * indented"
    assert viewer.tags == ("role::program", "works-with::image")
    assert viewer.depends == ("dpkg", "libc6", "libc6.1", "libgtk-3-0", "python3")
    assert viewer.evidence == ("implemented-in::python", "uitoolkit::gtk")


def test_builder_writes_the_table(tmp_path: Path) -> None:
    index, texts, out = tmp_path / "Packages", tmp_path / "Translation-en", tmp_path / "out" / "built.parquet"
    index.write_bytes(PACKAGES.encode())
    texts.write_bytes(TRANSLATIONS.encode())
    arguments = ["--packages", str(index), "--translations", str(texts), "--out", str(out)]
    assert build(arguments) == 0
    built = pq.read_table(out)
    assert built.column_names == ["id", "text", "labels", "section", "depends", "evidence_labels"]
    assert built["id"].to_pylist() == ["chess", "viewer"]
    assert json.loads(built.schema.metadata[b"classes"]) == []


@pytest.mark.parametrize(
    ("packages", "translations", "message"),
    [("Package: a\nDescription: b\nSection: c\n", "", "Tag field"), (PACKAGES, "", "Translation-en")],
)
def test_builder_names_what_the_index_lacks(
    tmp_path: Path, packages: str, translations: str, message: str
) -> None:
    index, texts = tmp_path / "Packages", tmp_path / "Translation-en"
    index.write_text(packages, encoding="utf-8")
    texts.write_text(translations, encoding="utf-8")
    with pytest.raises(RuntimeError, match=message):
        tagged_packages(read_files([index], [texts]))


def test_new_packages_are_not_among_those_with_tags(table: pa.Table) -> None:
    new = new_packages()
    assert new.num_rows == 20
    assert {field.name: str(field.type) for field in new.schema} == {"id": "string", "text": "string"}
    assert not set(new["id"].to_pylist()) & set(table["id"].to_pylist())
    assert all(text.startswith(f"{name}: ") for name, text in zip(*new.to_pydict().values(), strict=True))
