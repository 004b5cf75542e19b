"""Keys of configs said as arguments of Python: every key, and the sentences that people meet."""

from __future__ import annotations

import inspect
import re

import pytest

import spark_ml_audit
from spark_ml_audit.config import AuditConfig, arguments
from spark_ml_audit.config.arguments import in_python
from spark_ml_audit.config.messages import keys_of
from spark_ml_audit.errors import AuditError, ConfigError, InputError, SetupError


def said(error: AuditError, *how: object, **named: object) -> AuditError:
    """An error as a function of the package raises it."""

    @in_python(*how, **named)  # type: ignore[arg-type]
    def fails() -> None:
        raise error

    with pytest.raises(AuditError) as caught:
        fails()
    return caught.value


@pytest.mark.parametrize(
    ("key", "argument"),
    [
        ("source.pred_probs", "pred_probs"),
        ("source.path", "data"),
        ("source.table", "data"),
        ("source.features.text", "features['text']"),
        ("audit.alpha", "alpha"),
        ("detect.duplicates.threshold", "detect['duplicates']['threshold']"),
        ("detect.outliers", "detect['outliers']"),
        ("engine.kind", "engine"),
        ("tracking.uri", "tracking_uri"),
        ("output.schema", "schema"),
        ("sample.per_stratum", "per_stratum"),
        ("data", "data"),
        ("a.column.with.dots", "a.column.with.dots"),
        (None, None),
    ],
)
def test_a_key_is_the_argument_of_its_name(key: str | None, argument: str | None) -> None:
    assert said(InputError("found.", key=key, fix="Mend.")).key == argument


def test_every_key_of_audit_is_an_argument_that_audit_has() -> None:
    takes = set(inspect.signature(spark_ml_audit.audit).parameters) | set(
        AuditConfig.model_fields["audit"].annotation.model_fields  # type: ignore[union-attr]
    )
    # of commands alone: their models, files beside results, and what is joined or numbered by a config
    others = {"features", "group", "annotator", "decisions", "pred_probs_from", "row_numbers", "empty_labels"}
    others |= {"image_folder"}
    for section in ("source", "audit", "detect", "engine"):
        for key in keys_of(AuditConfig)[section]:
            argument = said(InputError("found.", key=f"{section}.{key}")).key or ""
            name = re.split(r"[\[.]", argument)[0]
            assert name in takes | others | {"memory", "spill"}, (section, key)


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("Set source.format to delta.", "Pass format='delta'."),
        (
            "Leave source.version out, or set source.format to parquet.",
            "Leave version out, or pass format='parquet'.",
        ),
        ("Set audit.alpha to a number from 0 to 1.", "Give alpha as a number from 0 to 1."),
        ("Set labels_format to columns or auto.", "Pass labels_format='columns' or auto."),
        ("Set correct.decisions to true, or give correct.to.", "Pass decisions=True, or give to."),
        ("found null, which names no column.", "found None, which names no column."),
        ("names the column 'x', which source.id names too.", "names the column 'x', which id names too."),
        ("cannot read './source.path' as Parquet.", "cannot read './source.path' as Parquet."),
        ("the files of 'a/source.id' changed.", "the files of 'a/source.id' changed."),
        ("found false, and accept_above is null.", "found False, and accept_above is None."),
        ("the label list is null in 3 rows.", "the label list is null in 3 rows."),
        (
            "Set engine.kind to spark (--engine spark), installed by `python -m pip install 'pyspark>=4'`.",
            "Pass engine='spark', installed by `python -m pip install 'pyspark>=4'`.",
        ),
        (
            "Set engine.kind to spark (--engine spark).",
            "Pass engine='spark'.",
        ),
        (
            "Give --out DIR, or set output.path or output.schema in the --config file or with --set.",
            "Pass path= or schema=.",
        ),
        ("Give one of the two; null unsets a key (--set output.path=null).", "Give one of the two."),
        (
            'Put tag names that read as numbers, booleans or null in quotes, for example "no" or "2024".',
            "Give tag names as texts, for example '2024'.",
        ),
        (
            "for example source.features={text: [title]}.",
            "for example features={'text': ['title']}.",
        ),
        (
            "such as {text: [title, body]} or {embedding: vector}.",
            "such as {'text': ['title', 'body']} or {'embedding': 'vector'}.",
        ),
        (
            "Use it with filter_by: prune_by_noise_rate, or leave it out.",
            "Use it with filter_by='prune_by_noise_rate', or leave it out.",
        ),
        (
            "Files without an id: --set source.row_numbers=true numbers their rows.",
            "Files without an id: row_numbers=True numbers their rows.",
        ),
        (
            "Set the delimiter: --set 'source.labels_delimiter=\";\"'",
            "Set the delimiter: labels_delimiter=';'",
        ),
        (
            "This is it: --set 'source.classes=[\"a b\", \"it'\\''s\"]', or another.",
            "This is it: classes=['a b', \"it's\"], or another.",
        ),
        (
            "Draw one with `spark-ml-audit sample --set sample.how=random` and set sample.size to 9.",
            "Draw one with `spark-ml-audit sample --set sample.how=random` and pass size=9.",
        ),
        (
            "This makes them: spark-ml-audit predict --set source.id=key",
            "This makes them: spark-ml-audit predict --set source.id=key",
        ),
        ("Write its keys below it, indented, one `key: value` per line.", "Give a dict."),
    ],
)
def test_sentences_speak_of_arguments(sentence: str, expected: str) -> None:
    found = said(ConfigError(sentence, fix=sentence))
    assert (found.message, found.fix) == (expected, expected)


def test_the_kind_of_an_error_its_exit_status_and_its_cause_stay() -> None:
    cause = OSError("gone")
    error = SetupError("no engine.", key="engine.kind", fix="Install one.")
    error.__cause__ = cause
    found = said(error)
    assert isinstance(found, SetupError)
    assert found.__cause__ is cause
    assert found.exit_code == error.exit_code
    # where it came from is still in the trace
    assert any(frame.name == "fails" for frame in _frames(found))


def _frames(error: BaseException) -> list[inspect.FrameInfo | object]:
    import traceback

    return list(traceback.extract_tb(error.__traceback__))


def test_errors_of_other_kinds_are_let_through() -> None:
    @in_python()
    def fails() -> None:
        raise ZeroDivisionError("source.id")

    with pytest.raises(ZeroDivisionError, match=r"source\.id"):
        fails()


def test_a_section_may_be_a_dict_of_a_function_and_a_key_have_a_name_of_its_own() -> None:
    error = InputError("found.", key="source.labels", fix="Check source.id.")
    found = said(error, dicts=("source",))
    assert (found.key, found.fix) == ("source['labels']", "Check source['id'].")
    renamed = {"output.run_id": "correction_id"}
    found = said(InputError("found.", key="output.run_id", fix="Leave output.run_id out."), renamed)
    assert (found.key, found.fix) == ("correction_id", "Leave correction_id out.")


def test_nothing_said_in_python_names_a_dotted_key_or_an_option_of_the_command_line() -> None:
    """All texts of the config package that can be met are sent through."""
    sentences = _literals()
    assert len(sentences) > 100
    for sentence in sentences:
        found = said(ConfigError("found.", fix=sentence)).fix
        left = re.findall(r"(?<![\w'])(?:source|audit|output|engine|detect|tracking)\.[a-z_]+\b", found)
        known = {f"{section}.{key}" for section, keys in arguments._sections().items() for key in keys}
        assert not known & set(left), (sentence, found)
        assert "--set" not in found, sentence


def _literals() -> list[str]:
    import ast

    from tests.paths import PROJECT

    folder = PROJECT / "spark_ml_audit"
    files = [folder / "config" / name for name in ("source.py", "audit.py", "detect.py", "output.py")]
    files += [folder / "frames/formats.py", folder / "frames/class_list.py", folder / "lake/source.py"]
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))]
    docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    texts = [node for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return [text.value for text in texts if id(text) not in docstrings and " " in text.value]
