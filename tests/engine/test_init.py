"""`init`: the config that it writes for a source passes `check`, and says why it chose what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml

from spark_ml_audit.config import load_config
from tests.command_line import Done, run_here
from tests.lake import Lake
from tests.paths import SHARED_DATA

N = 90
NAMES = ["wood", "sea", "town"]  # not sorted
RNG = np.random.default_rng(1)
TRUTH = RNG.random((N, 3)) < 0.5
PROBS = np.clip(np.where(TRUTH, 0.8, 0.2) + RNG.normal(0, 0.1, TRUTH.shape), 0.01, 0.99)
GIVEN = TRUTH ^ (RNG.random(TRUTH.shape) < 0.05)


def tags_of(names: list[str]) -> list[list[str]]:
    return [[names[k] for k in np.flatnonzero(row)] for row in GIVEN]


WORDS = [" ".join(NAMES[k] for k in np.flatnonzero(row)) for row in TRUTH]
TABLE = pa.table(
    {
        "film": [f"f{i:03}" for i in range(N)],
        "genres": tags_of(NAMES),
        "scores": PROBS.tolist(),
        "plot": [f"a long story of number {i} with {words}" for i, words in enumerate(WORDS)],
    }
)  # fmt: skip


def init(lake: Lake, *words: str, expect: int = 0) -> tuple[Done, dict[str, Any]]:
    """Run `init` with JSON; the config it wrote passes or does not pass `check` as it says."""
    with lake.chosen():
        done = run_here("init", *words, "--json", "--quiet", "--engine", lake.kind)
    assert done.returncode == expect, (done.stdout, done.stderr)
    said = json.loads(done.stdout)
    if expect == 0:
        with lake.chosen():
            checked = run_here("check", "--config", said["config"], "--quiet", "--json")
        assert (checked.returncode == 0) == said["is_auditable"], (checked.stdout, said["warnings"])
    return done, said


def chosen(said: dict[str, Any]) -> dict[str, Any]:
    return {choice["key"].removeprefix("source."): choice["value"] for choice in said["choices"]}


def write(lake: Lake, table: Any, name: str = "films", fmt: str = "parquet") -> str:
    lake.write(table, to=str(Path(name).absolute()), fmt=fmt)
    return name


def test_a_source_with_all_it_needs(lake: Lake) -> None:
    sorted_names = sorted(NAMES)
    table = TABLE.set_column(1, "genres", pa.array(tags_of(sorted_names)))
    done, said = init(lake, f"./{write(lake, table, fmt='delta')}")
    assert done.stderr == ""
    assert said["is_auditable"]
    assert said["config"] == "config.yml"
    assert (said["num_rows_read"], len(said["schema"])) == (N, 4)
    assert chosen(said) == {
        "id": "film", "labels": "genres", "pred_probs": "scores", "show": ["plot"], "classes": sorted_names,
    }  # fmt: skip
    text = Path("config.yml").read_text(encoding="utf-8")
    config = load_config("config.yml")
    assert (config.source.path, config.output.path) == ("./films", "audits/films")
    assert config.engine.kind == lake.kind
    # what else could be set is there, off, and good once it is on
    switched_on = "\n".join(
        line[2:] if line.startswith("# ") and not line.startswith("#   s") else line
        for line in text.splitlines()
    )
    sections = yaml.safe_load(switched_on[switched_on.index("\naudit:") :])
    assert {"audit", "gate", "detect", "report", "tracking"} <= set(sections)
    sections["detect"]["duplicates"]["text"] = ["plot"]
    sections.pop("engine", None)
    Path("all.yml").write_text(yaml.safe_dump({**yaml.safe_load(text), **sections}), encoding="utf-8")
    assert load_config("all.yml").gate.min_rows.limit == 100


def test_the_order_of_classes_is_told_by_what_the_probabilities_say(lake: Lake) -> None:
    _, said = init(lake, write(lake, TABLE) + "/")
    choice = next(choice for choice in said["choices"] if choice["key"] == "source.classes")
    assert choice["value"] == sorted(NAMES)
    # the true order is another one, and the means say that this one does not fit
    assert "check the order: given tags have a mean probability of 0." in choice["why"]
    inside, outside = (
        float(choice["why"].split(" of ")[1][:4]),
        float(choice["why"].split("others ")[1][:4]),
    )
    assert abs(inside - outside) < 0.35
    given = tags_of(sorted(NAMES))
    write(lake, TABLE.set_column(1, "genres", pa.array(given)), "sorted")
    _, said = init(lake, "./sorted", "--out", "b.yml")
    choice = next(choice for choice in said["choices"] if choice["key"] == "source.classes")
    assert float(choice["why"].split(" of ")[1][:4]) > 0.7


def test_a_source_without_probabilities_gets_a_model(lake: Lake) -> None:
    source = write(lake, TABLE.drop_columns(["scores"]))
    _, said = init(lake, f"{source}/")
    assert said["is_auditable"]
    config = load_config("config.yml")
    assert config.source.needs_predictions
    assert config.model is not None
    with lake.chosen():
        done = run_here("audit", "--config", "config.yml", "--json", "--quiet", "--set", "model.folds=2",
                        "--set", f"tracking.uri={lake.tracking_uri}")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["num_audited"] == N


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"tags": ["|".join(tags) for tags in tags_of(NAMES)]}, {"labels": "tags", "labels_delimiter": "|"}),
        ({"y": GIVEN.astype(int).tolist()}, {"labels": "y", "classes": ["0", "1", "2"]}),
        ({"y": [np.flatnonzero(row).tolist() for row in GIVEN]}, {"labels": "y", "classes": ["0", "1", "2"]}),
        (
            {f"is_{name}": GIVEN[:, k] for k, name in enumerate(NAMES)},
            {"labels": ["is_wood", "is_sea", "is_town"], "classes": NAMES},
        ),
    ],
    ids=["delimited", "multi_hot", "indices", "columns"],
)  # fmt: skip
def test_other_ways_to_write_tags(lake: Lake, columns: dict[str, Any], expected: dict[str, Any]) -> None:
    table = pa.table({"n": list(range(N)), **columns, "p": PROBS.tolist()})
    _, said = init(lake, f"{write(lake, table)}/")
    assert said["is_auditable"], said["warnings"]
    found = chosen(said)
    assert {"id": "n", **expected}.items() <= found.items()


def test_columns_with_probabilities_for_each_tag(lake: Lake) -> None:
    columns = {f"label_{name}": GIVEN[:, k] for k, name in enumerate(NAMES)}
    columns |= {f"p_{name}": PROBS[:, k] for k, name in enumerate(NAMES)}
    _, said = init(lake, f"{write(lake, pa.table({'key': TABLE['film'], **columns}))}/")
    assert said["is_auditable"]
    assert load_config("config.yml").source.classes == tuple(NAMES)


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_text_files(lake: Lake, suffix: str) -> None:
    frame = TABLE.to_pandas()
    if suffix == "csv":
        frame["genres"] = [", ".join(tags) for tags in frame["genres"]]
        frame = frame.drop(columns="scores").assign(**{f"p_{n}": PROBS[:, k] for k, n in enumerate(NAMES)})
        frame.to_csv("films.csv", index=False)
    else:
        frame["scores"] = [dict(zip(NAMES, row, strict=True)) for row in PROBS.tolist()]
        frame.to_json("films.jsonl", orient="records", lines=True)
    _, said = init(lake, f"films.{suffix}")
    assert said["is_auditable"], said["warnings"]
    assert chosen(said)["labels"] == "genres"
    assert load_config("config.yml").output.path == "audits/films"


def test_probabilities_in_another_file(lake: Lake) -> None:
    write(lake, TABLE.drop_columns(["scores"]), "tags")
    write(lake, TABLE.select(["film", "scores"]), "probs")
    names = ",".join(NAMES)
    _, said = init(lake, "tags/", "--pred-probs-from", "probs/", "--classes", names)
    assert said["is_auditable"], said["warnings"]
    config = load_config("config.yml")
    assert (config.source.pred_probs_from, config.source.pred_probs) == ("probs/", "scores")
    assert config.model is None


def test_rows_without_a_name_are_numbered(lake: Lake) -> None:
    table = TABLE.drop_columns(["film"])
    _, said = init(lake, f"{write(lake, table)}/", "--classes", ",".join(NAMES))
    assert said["is_auditable"], said["warnings"]
    assert chosen(said)["row_numbers"] is True


def test_what_is_given_is_kept(lake: Lake) -> None:
    table = TABLE.append_column("other", TABLE["genres"]).append_column("key", TABLE["film"])
    Path("classes.txt").write_text("\n".join(NAMES) + "\n", encoding="utf-8")
    words = ["--id", "key", "--labels", "other", "--classes", "classes.txt", "--show", "film"]
    more = ["--set", "audit.alpha=0.6", "--set", "output.path=there", "--set", "gate.min_rows=5"]
    _, said = init(lake, f"{write(lake, table)}/", *words, *more)
    assert said["is_auditable"]
    config = load_config("config.yml")
    assert (config.source.id, config.source.labels, config.source.show) == ("key", "other", ("film",))
    assert (config.audit.alpha, config.output.path, config.gate.min_rows.limit) == (0.6, "there", 5)
    text = Path("config.yml").read_text(encoding="utf-8")
    assert "classes.txt" in text
    assert "# audit:" not in text
    # a config is a start for another one
    _, said = init(lake, "--config", "config.yml", "--out", "again.yml", "--set", "output.path=elsewhere")
    assert load_config("again.yml").source == config.source


def test_a_file_that_is_there_is_left_alone(lake: Lake) -> None:
    source = f"{write(lake, TABLE)}/"
    Path("config.yml").write_text("mine", encoding="utf-8")
    _, said = init(lake, source, expect=2)
    assert said["error"]["key"] == "--out"
    assert "--force" in said["error"]["fix"]
    assert Path("config.yml").read_text(encoding="utf-8") == "mine"
    init(lake, source, "--force", "--classes", ",".join(NAMES))
    assert load_config("config.yml").source.id == "film"
    _, said = init(lake, source, "--out", "no/such/folder.yml", expect=2)
    assert said["error"]["key"] == "--out"


def test_what_cannot_be_audited_is_said(lake: Lake) -> None:
    source = f"{write(lake, TABLE.select(['film', 'plot']), 'untagged')}/"
    _, said = init(lake, source, expect=2)
    assert said["error"]["key"] == "source.labels"
    assert "film (string), plot (string)" in said["error"]["fix"]
    assert not Path("config.yml").exists()
    source = f"{write(lake, TABLE)}/"
    _, said = init(lake, source, "--labels", "genre", expect=2)
    assert "Did you mean 'genres'?" in said["error"]["fix"]
    _, said = init(lake, source, "--set", "audit.alfa=1")
    assert not said["is_auditable"]
    assert "Did you mean alpha?" in said["warnings"][0]
    more = pa.table(
        {**{name: TABLE[name] for name in ("film", "genres")}, "scores": RNG.random((N, 5)).tolist()}
    )
    _, said = init(lake, f"{write(lake, more, 'wide')}/", "--out", "wide.yml")
    assert not said["is_auditable"]
    assert "no class list" in said["warnings"][0]
    _, said = init(lake, "not/there", "--out", "x.yml", expect=2)
    assert said["error"]["key"] == "source.path"
    assert not Path("x.yml").exists()


def test_names_that_yaml_or_a_reader_would_mistake(lake: Lake) -> None:
    odd = ["no", "2024", "a: b", "#c", "it's", "x\u202ey", "[z"]
    truth = RNG.random((N, len(odd))) < 0.5
    probs = np.where(truth, 0.9, 0.1)
    given = [[odd[k] for k in np.flatnonzero(row)] for row in truth]
    table = pa.table(
        {"null": TABLE["film"], "yes": given, "pred: probs": probs.tolist(), "te#xt": TABLE["plot"]}
    )
    source = write(lake, table, "it's #1: a [test]")
    _, said = init(lake, f"{source}/", "--labels", "yes", "--pred-probs", "pred: probs", "--id", "null")
    assert said["is_auditable"], said["warnings"]
    config = load_config("config.yml")
    assert config.source.classes == tuple(sorted(odd))
    assert (config.source.id, config.source.labels) == ("null", "yes")
    text = Path("config.yml").read_text(encoding="utf-8")
    assert "\u202e" not in "\n".join(line for line in text.splitlines() if line.lstrip().startswith("#"))


@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="the folder ../shared/data is not there")
@pytest.mark.parametrize(
    "name",
    ["goemotions", "goemotions_oof", "debtags", "debtags_oof", "movies_wikidata", "movies_wikidata_oof"],
)
def test_real_sets(lake: Lake, name: str) -> None:
    _, said = init(lake, str(SHARED_DATA / f"{name}.parquet"))
    assert said["is_auditable"], said["warnings"]
    found = chosen(said)
    assert (found["id"], found["labels"]) == ("id", "labels")
    assert found["pred_probs"] == ("pred_probs" if name.endswith("_oof") else None)
    assert found.get("show") == (None if name.endswith("_oof") else ["text"])
