"""Every command: its name, help, options and the function that does it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

from spark_ml_audit.cli.render import (
    render_check,
    render_compare,
    render_outcome,
    render_predict,
    render_tag,
    render_trend,
)
from spark_ml_audit.cli.render_review import render_correct, render_decide, render_review, render_sample
from spark_ml_audit.config import (
    CompareConfig,
    CorrectConfig,
    DecideConfig,
    PredictConfig,
    ReviewConfig,
    SampleConfig,
    ServeConfig,
    TagConfig,
    TrendConfig,
    load_as,
    load_config,
)
from spark_ml_audit.engines.choose import require_engine
from spark_ml_audit.errors import ExitCode
from spark_ml_audit.progress import Progress
from spark_ml_audit.text import for_terminal

PROGRAM = "spark-ml-audit"


@dataclass(frozen=True)
class Result:
    """What a command hands back: the same as text and as JSON-able data, and its exit status."""

    text: str
    data: Mapping[str, Any]
    exit_code: ExitCode


@dataclass(frozen=True)
class Command:
    """A subcommand: its name, its help, an example, its own options, and the function that does it."""

    name: str
    summary: str
    example: str
    run: Callable[[argparse.Namespace, Progress], Result]
    add_options: Callable[[argparse.ArgumentParser], None] | None = None


def _run_demo(options: argparse.Namespace, progress: Progress) -> Result:
    from spark_ml_audit.demo.run import run_demo

    settings: dict[str, Any] = {}
    if options.config is not None or options.overrides:
        settings = {"config_path": options.config, "overrides": tuple(options.overrides)}
    outcome, lines = run_demo(options.output, progress, **settings)
    text = "\n".join([render_outcome(outcome), "", *(for_terminal(line) for line in lines)])
    return Result(text, {**outcome.to_dict(), "demo": list(lines)}, outcome.exit_code)


def _runner(
    read: Callable[[str | None, Sequence[str]], Any],
    function: str,
    render: Callable[[Any], str],
    settings: Callable[[argparse.Namespace], list[str]] = lambda _: [],
) -> Callable[[argparse.Namespace, Progress], Result]:
    """How most commands go: read the config, find Spark, do it, say what came out.

    Args:
        read: Reads the config, from a file and overrides.
        function: Module below the package and its function of config and progress; what it needs is heavy
            and is imported only when the config stands.
        render: The outcome as text.
        settings: Overrides that the command's own options stand for.
    """

    def run(options: argparse.Namespace, progress: Progress) -> Result:
        config = read(options.config, [*options.overrides, *settings(options)])
        require_engine(config.engine)
        module, name = function.split(":")
        outcome = getattr(import_module(f"spark_ml_audit.{module}"), name)(config, progress)
        return Result(render(outcome), outcome.to_dict(), outcome.exit_code)

    return run


def _run_serve(options: argparse.Namespace, progress: Progress) -> Result:
    from spark_ml_audit.app.serve import run_serve
    from spark_ml_audit.cli.stdio import announce

    config = load_as(ServeConfig, options.config, options.overrides)
    require_engine(config.engine)

    def tell(address: str) -> None:
        announce(json.dumps({"status": "serving", "address": address}) if options.json else address)

    run_serve(config, progress, tell)
    return Result("", {}, ExitCode.OK)


def _fit_final(options: argparse.Namespace) -> list[str]:
    return ["model.fit_final=true"] if options.fit_final else []


def _option(name: str, key: str) -> Callable[[argparse.Namespace], list[str]]:
    """The override that a command's own option stands for; none where it is not given."""

    def settings(options: argparse.Namespace) -> list[str]:
        value = getattr(options, name)
        return [] if value is None else [f"{key}={json.dumps(value)}"]

    return settings


def _add_sample_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--how",
        choices=("first-look", "additions", "removals", "worst", "random", "certify", "disputed"),
        help="what is drawn: some of the surest tags to add and to remove (first-look), one of these lists, "
        "the worst rows, a random sample to estimate from, one of a class and direction to accept in bulk by "
        "(certify), or cells on which people differ; stands for --set sample.how=...",
    )


def _add_correct_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--undo", metavar="CORRECTION_ID", help="take a correction back: its rows get their old labels"
    )


def _add_predict_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--fit-final",
        action="store_true",
        help="also train a model on all rows, keep it in MLflow and register it as model.name",
    )


def _add_demo_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output",
        metavar="DIR",
        default="./demo-audit",
        help="folder for all it writes (default: %(default)s)",
    )


COMMANDS: tuple[Command, ...] = (
    Command(
        "demo",
        "audit real data, shipped with the package, from start to end",
        f"{PROGRAM} demo --output ./demo-audit",
        _run_demo,
        _add_demo_options,
    ),
    Command(
        "predict",
        "predict tags out of sample from text and features, for tables without probabilities",
        f"{PROGRAM} predict --config predict.yaml --fit-final --set model.name=film_tags",
        _runner(
            partial(load_as, PredictConfig), "predicting.predict:run_predict", render_predict, _fit_final
        ),
        _add_predict_options,
    ),
    Command(
        "audit",
        "find missing and wrong tags in a table with tags and predicted probabilities",
        f"{PROGRAM} audit --config audit.yaml --set audit.alpha=0.9 --set output.path=audits/tags",
        _runner(load_config, "auditing.audit:run_audit", render_outcome),
    ),
    Command(
        "check",
        "examine config and source without computing anything, and say what an audit would write",
        f"{PROGRAM} check --config audit.yaml --json",
        _runner(load_config, "auditing.check:run_check", render_check),
    ),
    Command(
        "tag",
        "tag new rows with a model, in a batch or as a stream",
        f"{PROGRAM} tag --config tag.yaml --set model.uri=models:/film_tags/1 --set source.stream=true",
        _runner(partial(load_as, TagConfig), "predicting.tag:run_tag", render_tag),
    ),
    Command(
        "compare",
        "compare two runs of one source: what is newly flagged, fixed, still open",
        f"{PROGRAM} compare --set output.path=audits/tags --set compare.run=20260131t180000z-0a1b2c3d",
        _runner(partial(load_as, CompareConfig), "history.compare:run_compare", render_compare),
    ),
    Command(
        "trend",
        "show health and noise by class over the runs of one source, as numbers and as an HTML page",
        f"{PROGRAM} trend --set output.path=audits/tags --set trend.last=20",
        _runner(partial(load_as, TrendConfig), "history.trend:run_trend", render_trend),
    ),
    Command(
        "sample",
        "draw flagged rows or a random sample of cells for people to judge",
        f"{PROGRAM} sample --set output.path=audits/tags --how first-look --set sample.csv=review.csv",
        _runner(
            partial(load_as, SampleConfig),
            "reviewing.sample:run_sample",
            render_sample,
            _option("how", "sample.how"),
        ),
        _add_sample_options,
    ),
    Command(
        "decide",
        "import what people decided on a sample, from CSV, Parquet or Delta",
        f"{PROGRAM} decide --set output.path=audits/tags --set decide.file=review.csv --set decide.who=ann",
        _runner(partial(load_as, DecideConfig), "reviewing.decide:run_decide", render_decide),
    ),
    Command(
        "review",
        "estimate precision and recall of an audit from a judged random sample",
        f"{PROGRAM} review --set output.path=audits/tags",
        _runner(partial(load_as, ReviewConfig), "reviewing.review:run_review", render_review),
    ),
    Command(
        "correct",
        "write a corrected copy of the audited table, or correct it in place, and take corrections back",
        f"{PROGRAM} correct --set output.path=audits/tags --set correct.accept_above=0.95",
        _runner(
            partial(load_as, CorrectConfig),
            "reviewing.correct:run_correct",
            render_correct,
            _option("undo", "correct.undo"),
        ),
        _add_correct_options,
    ),
    Command(
        "serve",
        "serve the page on which people review an audit's flags, in a browser",
        f"{PROGRAM} serve --set output.path=audits/tags --set serve.who=ann",
        _run_serve,
    ),
)
