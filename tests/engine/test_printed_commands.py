"""Every command that a command prints is taken from what it printed, pasted, and runs."""

from __future__ import annotations

import csv
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.command_line import Done, run_here
from tests.lake import Lake

TAGS = ["sea, cold", "forest", "old town"]
WORDS = {"sea, cold": "waves salt ships", "forest": "trees moss deer", "old town": "walls market tower"}
ROWS = 300
FOLDER = "it's data (1)"
_COMMAND = re.compile(r"^ +(spark-ml-audit .*)$", re.MULTILINE)


def fill_in(file: str) -> None:
    """What a reviewer does with the sheet of a sample: says what is flagged is wrong, of most cells."""
    with open(file, encoding="utf-8-sig", newline="") as sheet:
        rows = list(csv.DictReader(sheet))
    assert rows
    for i, row in enumerate(rows):
        wrong = "absent" if row["given"] == "true" else "present"
        right = "present" if row["given"] == "true" else "absent"
        row["verdict"] = wrong if i % 4 else right
    with open(file, "w", encoding="utf-8", newline="") as sheet:
        writer = csv.DictWriter(sheet, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


class Shell:
    """Runs commands, and keeps what they print for the next ones."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self.printed: list[str] = []
        self.ran: list[str] = []

    def run(self, *words: str) -> Done:
        """Run a command; what it prints to be typed next is added to `printed`."""
        with self.lake.chosen():
            done = run_here(*words)
        assert done.returncode == 0, (words, done.stderr, done.stdout)
        self.printed += _COMMAND.findall(done.stdout)
        self.ran.append(words[0])
        return done

    def paste(self, name: str) -> Done:
        """Run the command of that name that was printed last, as a shell reads it."""
        command = next(text for text in reversed(self.printed) if text.split()[1] == name)
        self.printed.remove(command)
        words = shlex.split(command)
        file = next((words[i + 1] for i, word in enumerate(words) if word == "--file"), None)
        if file is not None:
            fill_in(file)
        return self.run(*words[1:])


@pytest.fixture
def shell(lake: Lake) -> Shell:
    return Shell(lake)


def rows_of(seed: int = 0) -> list[tuple[Any, ...]]:
    rng = np.random.default_rng(seed)
    truth = rng.random((ROWS, len(TAGS))) < [0.5, 0.4, 0.3]
    given = truth ^ (rng.random(truth.shape) < 0.12)
    probs = np.clip(np.where(truth, 0.85, 0.15) + rng.normal(0, 0.1, truth.shape), 0.01, 0.99)
    return [
        (
            f"f{i:03}",
            f"place {i} with {' '.join(WORDS[TAGS[k]] for k in np.flatnonzero(truth[i]))}",
            [TAGS[k] for k in np.flatnonzero(given[i])],
            probs[i].tolist(),
        )
        for i in range(ROWS)
    ]


def source_in(lake: Lake, *, with_probs: bool) -> str:
    """A Parquet folder of an awkward name below the working folder, by its relative path."""
    table = lake.frame(rows_of(), "film string, plot string, genres array<string>, p array<double>")
    if not with_probs:
        table = table.drop_columns(["p"])
    lake.write(table, to=str(Path(FOLDER, "films").absolute()), fmt="parquet")
    return f"{FOLDER}/films"


def settings(lake: Lake) -> Sequence[str]:
    return ("--set", f"tracking.uri={lake.tracking_uri}", "--engine", lake.kind)


def test_from_a_check_to_an_undone_correction(lake: Lake, shell: Shell) -> None:
    source = source_in(lake, with_probs=True)
    columns = ["--id", "film", "--labels", "genres", "--pred-probs", "p", "--show", "plot"]
    Path("class list.txt").write_text("\n".join(TAGS) + "\n", encoding="utf-8")
    shell.run("check", source, *columns, "--classes", "class list.txt", *settings(lake))
    assert len(shell.printed) == 1

    audited = shell.paste("audit")
    assert f"Source: {source}" in audited.stdout
    assert str(Path("audits/films/examples").absolute()) in audited.stdout
    shell.paste("sample")
    shell.paste("decide")
    first_look = shell.printed[-1]
    assert first_look.split()[1] == "correct"

    shell.run(
        "sample", "--how", "random", "--size", "40", "--csv", "random sample.csv", "--engine", lake.kind
    )
    shell.paste("decide")
    reviewed = shell.paste("review")
    assert "precision, missing" in reviewed.stdout
    assert "MLflow run  none" not in reviewed.stdout
    corrected = shell.paste("correct")
    assert "rows changed (copy)" in corrected.stdout
    again = shell.paste("audit")
    assert "continues" in again.stdout
    looked = shell.printed.pop()  # of the audit of the copy
    undone = shell.paste("correct")
    assert "Undo of" in undone.stdout
    # the copy is a source of its own: what is said of it leads to another copy
    shell.printed.append(looked)
    shell.paste("sample")
    shell.paste("decide")
    shell.paste("correct")
    assert Path("audits/films/corrected_2").is_dir()
    shell.paste("audit")
    assert shell.ran == [
        "check", "audit", "sample", "decide", "sample", "decide", "review", "correct", "audit", "correct",
        "sample", "decide", "correct", "audit",
    ]  # fmt: skip


def test_a_correction_in_place_is_taken_back(lake: Lake, shell: Shell) -> None:
    table = lake.frame(
        rows_of(), "id string, text string, labels array<string>, pred_probs array<double>", TAGS
    )
    lake.write(table, to=str(Path("2026").absolute()))
    shell.run("audit", "./2026", *settings(lake))
    shell.paste("sample")
    shell.paste("decide")
    merged = shell.run("correct", "--mode", "merge", "--engine", lake.kind)
    assert "rows changed (merge)" in merged.stdout
    assert "Undo of" in shell.paste("correct").stdout
    assert lake.table("2026").sort_by("id")["labels"].to_pylist() == table["labels"].to_pylist()


def test_from_predictions_to_their_audit_and_to_tags(lake: Lake, shell: Shell) -> None:
    source = source_in(lake, with_probs=False)
    how = ["--id", "film", "--labels", "genres", "--text", "plot", "--fit-final", "--name", "films"]
    shell.run(
        "predict", source, *how, "--set", "model.kind=linear", "--set", "model.folds=2", *settings(lake)
    )
    assert len(shell.printed) == 2
    tagged = shell.paste("tag")
    assert f"{ROWS} read, {ROWS} tagged" in tagged.stdout
    audited = shell.paste("audit")
    assert f"{ROWS} read, {ROWS} audited" in audited.stdout
    assert [command.split()[1] for command in shell.printed] == ["sample"]
    assert "--show plot" in shell.printed[0]


def test_an_audit_that_predicts_first_is_audited_again_in_the_same_way(lake: Lake, shell: Shell) -> None:
    source = source_in(lake, with_probs=False)
    how = ["--predict", "--id", "film", "--labels", "genres", "--text", "plot", "--set", "model.folds=2"]
    shell.run("check", source, *how, "--set", "audit.alpha=0.7", *settings(lake))
    shell.paste("audit")
    shell.paste("sample")
    shell.paste("decide")
    shell.paste("correct")
    again = next(text for text in shell.printed if text.split()[1] == "audit")
    assert "--text plot" in again
    assert "audit.alpha=0.7" in again
    shell.paste("audit")


def test_a_new_config_is_checked_and_audited_as_it_says(lake: Lake, shell: Shell) -> None:
    source = source_in(lake, with_probs=True)
    shell.run("init", source, "--out", "my config.yml", *settings(lake))
    shell.paste("check")
    audited = shell.paste("audit")
    assert f"{ROWS} audited" in audited.stdout
    lines = Path("my config.yml").read_text(encoding="utf-8").splitlines()
    commands = [line.removeprefix("#").strip() for line in lines if line.startswith("#   spark-ml-audit")]
    assert [command.split()[1] for command in commands] == ["check", "audit"]
    for command in commands:
        shell.run(*shlex.split(command)[1:])


@pytest.mark.parametrize("numbered", [True, False])
def test_probabilities_elsewhere(lake: Lake, shell: Shell, numbered: bool) -> None:
    frame = lake.frame(
        rows_of(), "id string, text string, labels array<string>, pred_probs array<double>", TAGS
    )
    row_id = [] if numbered else ["id"]
    lake.write(frame.select([*row_id, "text", "labels"]), to=str(Path("tags").absolute()), fmt="parquet")
    lake.write(frame.select([*row_id, "pred_probs"]), to=str(Path("probs").absolute()), fmt="parquet")
    how = ["--pred-probs-from", "probs/", "--show", "text", *(["--row-numbers"] if numbered else [])]
    shell.run("check", "tags/", *how, *settings(lake))
    audited = shell.paste("audit")
    assert f"{ROWS} audited" in audited.stdout
    shell.paste("sample")
    shell.paste("decide")
    shell.paste("correct")
    # of a copy the numbers are in a column, of the other file they are not
    assert [text.split()[1] for text in shell.printed] == [*([] if numbered else ["audit"]), "correct"]
    if not numbered:
        shell.paste("audit")
    shell.paste("correct")


def test_predictions_of_rows_by_number(lake: Lake, shell: Shell) -> None:
    frame = lake.frame(
        rows_of(), "id string, text string, labels array<string>, pred_probs array<double>", TAGS
    )
    lake.write(frame.select(["text", "labels"]), to=str(Path("tags").absolute()), fmt="parquet")
    how = ["--row-numbers", "--fit-final", "--set", "model.kind=linear", "--set", "model.folds=2"]
    shell.run("predict", "tags/", *how, *settings(lake))
    shell.paste("tag")
    shell.paste("audit")
