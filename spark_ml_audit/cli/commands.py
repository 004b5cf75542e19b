"""Every command: its name, help, options and the function that does it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from spark_ml_audit.cli.last_output import last_models, note_models, note_output
from spark_ml_audit.cli.options import given_by
from spark_ml_audit.cli.render import (
    render_check,
    render_compare,
    render_outcome,
    render_predict,
    render_tag,
    render_trend,
)
from spark_ml_audit.cli.render_outputs import render_init, render_open, render_runs
from spark_ml_audit.cli.render_review import render_correct, render_decide, render_review, render_sample
from spark_ml_audit.cli.running import Command, Following, Result, Runner, same_words, with_option
from spark_ml_audit.config import (
    PROGRAM,
    AuditConfig,
    CompareConfig,
    CorrectConfig,
    DecideConfig,
    Given,
    OpenConfig,
    OutputConfig,
    PredictConfig,
    ReviewConfig,
    RunsConfig,
    SampleConfig,
    ServeConfig,
    TagConfig,
    TrendConfig,
    parse_as,
    read_values,
)
from spark_ml_audit.config.continuing import audit_of_predictions, tagging_by
from spark_ml_audit.errors import ConfigError, ExitCode, InputError
from spark_ml_audit.outcomes.audit import AuditOutcome
from spark_ml_audit.outcomes.predict import PredictOutcome
from spark_ml_audit.progress import Progress
from spark_ml_audit.text import for_terminal

_DEFAULT_CONFIG = "config.yml"


def _run_demo(options: argparse.Namespace, progress: Progress) -> Result:
    from spark_ml_audit.demo.run import run_demo

    settings: dict[str, Any] = {}
    overrides = [*options.overrides, *(f"{item.key}={json.dumps(item.value)}" for item in given_by(options))]
    if options.config is not None or overrides:
        settings = {"config_path": options.config, "overrides": tuple(overrides)}
    outcome, lines = run_demo(options.output, progress, **settings)
    runs = outcome.tables.get("runs", "")
    if runs.endswith("/runs"):
        note_output(OutputConfig(path=runs.removesuffix("/runs")), outcome.run_id)
    text = "\n".join([render_outcome(outcome), "", *(for_terminal(line) for line in lines)])
    return Result(text, {**outcome.to_dict(), "demo": list(lines)}, outcome.exit_code)


def _run_doctor(options: argparse.Namespace, progress: Progress) -> Result:
    from spark_ml_audit.cli.doctor import render_doctor, run_doctor
    from spark_ml_audit.config.doctor import DoctorConfig

    values = read_values(options.config, options.overrides, given=given_by(options))
    config = parse_as(DoctorConfig, values)
    others = [command.name for command in COMMANDS if command.run is not _run_doctor]
    found = run_doctor(config, others, progress, start=options.start)
    return Result(render_doctor(found), found.to_dict(), found.exit_code)


def _run_init(options: argparse.Namespace, progress: Progress) -> Result:
    from spark_ml_audit.auditing.init import run_init

    given = given_by(options)
    values = read_values(options.config, options.overrides, given=given)
    try:
        outcome = run_init(values, Path(options.out), progress, force=options.force)
    except (ConfigError, InputError) as error:
        raise with_option(error, "init") from error
    return Result(render_init(outcome), outcome.to_dict(), outcome.exit_code)


def _run_serve(options: argparse.Namespace, progress: Progress) -> Result:
    from spark_ml_audit.app.serve import run_serve
    from spark_ml_audit.cli.stdio import announce

    config, last = Runner(ServeConfig, "", str).read(options, progress)
    noted = {} if last is None else {"last_output": last.output}

    def tell(address: str) -> None:
        said = {"status": "serving", "address": address, **noted}
        announce(json.dumps(said) if options.json else address)

    try:
        run_serve(config, progress, tell)
    except (ConfigError, InputError) as error:
        raise with_option(error, "serve") from error
    return Result("", {}, ExitCode.OK)


def _predict_first(options: argparse.Namespace) -> tuple[dict[str, object], list[Given]]:
    """With --predict the probabilities are predicted, by the file's model or the default one."""
    if not options.predict:
        return {}, []
    return {"model": {}}, [Given("--predict", "source.pred_probs", value=None)]


def _after_predict(
    _: argparse.Namespace, config: PredictConfig, outcome: PredictOutcome
) -> tuple[Following, ...]:
    """An audit of the predictions; and where a model was kept, rows tagged by it."""
    found = []
    place = outcome.tables.get("predictions")
    if place is not None and outcome.num_predicted:
        texts = outcome.use.features.get("text", ())
        found.append(Following("To audit the tags", audit_of_predictions(config, place, texts)))
    if outcome.model_uri is not None and config.model.fit_final:
        command = tagging_by(config, outcome.model_uri)
        found.append(Following("To tag rows, new ones in the place of these", command, "tag_command"))
    return tuple(found)


def _audit_instead(options: argparse.Namespace, *_: object) -> tuple[Following, ...]:
    return (Following("To audit it", same_words(options, "audit")),)


def _note_audit(config: AuditConfig, outcome: AuditOutcome) -> None:
    note_output(config.output, outcome.run_id)


def _note_model(config: PredictConfig, outcome: PredictOutcome) -> None:
    """Note the store of a kept model, if it is one that this package chose."""
    from spark_ml_audit.tracking import resolve_tracking_uri

    if outcome.model_uri is None or config.tracking.uri is not None:
        return
    uri, artifacts = resolve_tracking_uri(None, config.output.files or config.output.path)
    if artifacts is not None:
        note_models(uri)


def _find_models(values: dict[str, object], progress: Progress) -> None:
    """The store of the last model that was kept from this folder, where no other is named."""
    from spark_ml_audit.tracking import resolve_tracking_uri

    tracking = values.get("tracking") or {}
    if not isinstance(tracking, dict) or tracking.get("uri") is not None:
        return
    own = resolve_tracking_uri(None, None)[1] is None
    uri = None if own else last_models()
    if uri is not None:
        values["tracking"] = {**tracking, "uri": uri}
        progress.note(f"no tracking.uri is given: {for_terminal(uri)}, where the last model from here is")


def _add_init_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", metavar="FILE.yml", default=_DEFAULT_CONFIG, help="config to write (default: %(default)s)"
    )
    parser.add_argument("--force", action="store_true", help="write over a file that is there")


def _add_audit_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--predict",
        action="store_true",
        help="predict the probabilities first, out of sample; stands for --set source.pred_probs=null and a "
        "section model",
    )


def _add_open_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--no-browser", action="store_true", help="print where the report is and open nothing"
    )


def _add_doctor_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--start", action="store_true", help="also start Spark, which takes seconds")


def _add_demo_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output",
        metavar="DIR",
        default="./demo-audit",
        help="folder for all it writes (default: %(default)s)",
    )


def _no_browser(options: argparse.Namespace) -> tuple[dict[str, object], list[Given]]:
    return {}, [Given("--no-browser", "open.browser", value=False)] if options.no_browser else []


COMMANDS: tuple[Command, ...] = (
    Command(
        "demo",
        "audit real data, shipped with the package, from start to end",
        f"{PROGRAM} demo --output ./demo-audit",
        _run_demo,
        _add_demo_options,
    ),
    Command(
        "init",
        "look at a source and write a config for it",
        f"{PROGRAM} init tags.parquet --out config.yml",
        _run_init,
        _add_init_options,
        has_source=True,
    ),
    Command(
        "predict",
        "predict tags out of sample from text and features, for tables without probabilities",
        f"{PROGRAM} predict films.parquet --text title,plot --fit-final --name film_tags",
        Runner(
            PredictConfig,
            "predicting.predict:run_predict",
            render_predict,
            default_output=True,
            note=_note_model,
            follow=_after_predict,
        ),
        has_source=True,
    ),
    Command(
        "audit",
        "find missing and wrong tags in a table with tags and predicted probabilities",
        f"{PROGRAM} audit tags.parquet --show text --set audit.alpha=0.9",
        Runner(
            AuditConfig,
            "auditing.audit:run_audit",
            render_outcome,
            default_output=True,
            note=_note_audit,
            more=_predict_first,
        ),
        _add_audit_options,
        has_source=True,
    ),
    Command(
        "check",
        "examine config and source without computing anything, and say what an audit would write",
        f"{PROGRAM} check tags.parquet --json",
        Runner(
            AuditConfig,
            "auditing.check:run_check",
            render_check,
            default_output=True,
            more=_predict_first,
            follow=_audit_instead,
        ),
        _add_audit_options,
        has_source=True,
    ),
    Command(
        "tag",
        "tag new rows with a model, in a batch or as a stream",
        f"{PROGRAM} tag new_films.parquet --model models:/film_tags/1",
        Runner(TagConfig, "predicting.tag:run_tag", render_tag, default_output=True, complete=_find_models),
        has_source=True,
    ),
    Command(
        "runs",
        "list the runs of an output, the newest first",
        f"{PROGRAM} runs --out audits/tags --last 10",
        Runner(RunsConfig, "history.runs:run_runs", render_runs),
    ),
    Command(
        "open",
        "open the newest report, or that of a run, in the browser, and print where it is",
        f"{PROGRAM} open --out audits/tags --run 20260131t180000z-0a1b2c3d",
        Runner(OpenConfig, "history.open:run_open", render_open, more=_no_browser),
        _add_open_options,
    ),
    Command(
        "compare",
        "compare two runs of one source: what is newly flagged, fixed, still open",
        f"{PROGRAM} compare --out audits/tags --run 20260131t180000z-0a1b2c3d",
        Runner(CompareConfig, "history.compare:run_compare", render_compare),
    ),
    Command(
        "trend",
        "show health and noise by class over the runs of one source, as numbers and as an HTML page",
        f"{PROGRAM} trend --out audits/tags --last 20",
        Runner(TrendConfig, "history.trend:run_trend", render_trend),
    ),
    Command(
        "sample",
        "draw flagged rows or a random sample of cells for people to judge",
        f"{PROGRAM} sample --out audits/tags --how first-look --csv review.csv",
        Runner(SampleConfig, "reviewing.sample:run_sample", render_sample),
    ),
    Command(
        "decide",
        "import what people decided on a sample, from CSV, Parquet or Delta",
        f"{PROGRAM} decide --out audits/tags --file review.csv --who ann",
        Runner(DecideConfig, "reviewing.decide:run_decide", render_decide),
    ),
    Command(
        "review",
        "estimate precision and recall of an audit from a judged random sample",
        f"{PROGRAM} review --out audits/tags",
        Runner(ReviewConfig, "reviewing.review:run_review", render_review),
    ),
    Command(
        "correct",
        "write a corrected copy of the audited table, or correct it in place, and take corrections back",
        f"{PROGRAM} correct --out audits/tags --accept-above 0.95",
        Runner(CorrectConfig, "reviewing.correct:run_correct", render_correct),
    ),
    Command(
        "doctor",
        "say what is installed, which engines can start, and what is missing for which command",
        f"{PROGRAM} doctor --start",
        _run_doctor,
        _add_doctor_options,
    ),
    Command(
        "serve",
        "serve the page on which people review an audit's flags, in a browser",
        f"{PROGRAM} serve --out audits/tags --who ann",
        _run_serve,
    ),
)
