"""A config as a commented YAML file: what was chosen and why, and what else could be set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import yaml

from spark_ml_audit.config.option_values import as_yaml
from spark_ml_audit.config.yaml_loader import Dumper
from spark_ml_audit.outcomes.starting import Choice
from spark_ml_audit.text import harmless, one_line

_WIDTH = 34
_LONG = 70
_MAX_LISTED = 6
_MAX_COMMENT = 160

_MODEL = """
# model:                           # other settings of the model:
#   kind: auto                     # joint, linear, tabular, prior, import path of a scikit-learn estimator
#   folds: 5                       # every row is predicted by a model that has not seen it
"""

_OTHERS = """
# What follows is not set: take a section's # away to set it. All keys, with their defaults, are in
# conf/audit.example.yml of the project.

# audit:                           # the method
#   filter_by: prune_by_noise_rate # which cells are flagged; prune_by_class, both, confident_learning, ...
#   frac_noise: 1.0                # share of the estimated errors to flag
#   score: self_confidence         # of a cell; normalized_margin, confidence_weighted_entropy

# gate:                            # a broken limit ends the command with status 3
#   max_issue_fraction: 0.2        # share of audited rows with an issue
#   max_quarantined_fraction: 0.0  # share of rows that could not be read
#   min_rows: 100

# detect:                          # what is looked for beside wrong tags
#   outliers: true
#   duplicates: {text: [COLUMN]}   # near-duplicates whose tags differ

# report:
#   max_rows: 200                  # most rows that the report lists

# tracking:                        # where the MLflow run goes
#   uri: http://127.0.0.1:5000     # default: MLflow's own setting, else a store beside the tables
#   experiment: spark-ml-audit

# engine:
#   kind: auto                     # a Spark session that is there, else in this process; embedded, spark
#   memory: 4GiB                   # of the embedded engine
"""
_SECTIONS = ("source", "model", "output")


def config_text(
    values: Mapping[str, object], choices: Sequence[Choice], title: str, commands: Sequence[str]
) -> str:
    """The text of a config file.

    Args:
        values: The config: sections with their keys.
        choices: Why a key has its value, and what else it could be.
        title: First line.
        commands: What to type with the file.

    Example:
        >>> values = {"source": {"path": "films", "id": "film"}, "output": {"path": "audits"}}
        >>> choices = [Choice("source.id", "film", "string, no value comes twice", ("title",))]
        >>> text = config_text(values, choices, "Films", ["spark-ml-audit check"])
        >>> print(text.partition("# What follows")[0].rstrip())
        # Films
        #   spark-ml-audit check
        <BLANKLINE>
        source:
          path: films
          id: film                         # string, no value comes twice; or title
        <BLANKLINE>
        output:
          path: audits
    """
    about = {choice.key: choice for choice in choices}
    lines = [f"# {_plain(title)}", *(f"#   {_plain(command)}" for command in commands)]
    named = [name for name in _SECTIONS if name in values]
    for name in [*named, *(other for other in values if other not in _SECTIONS)]:
        lines += ["", *_section(name, values[name], about)]
    text = "\n".join(lines) + "\n" + (_MODEL if values.get("model") == {"kind": "auto"} else "")
    return text + _without(_OTHERS, values)


def _section(name: str, keys: object, about: Mapping[str, Choice]) -> list[str]:
    if not isinstance(keys, Mapping) or name not in _SECTIONS:
        dumped = yaml.dump({name: keys}, Dumper=Dumper, allow_unicode=True, sort_keys=False)
        return list(dumped.rstrip("\n").split("\n"))
    lines = [f"{name}:"]
    for key, value in keys.items():
        entry = f"  {key}: {as_yaml(value)}"
        choice = about.get(f"{name}.{key}")
        if len(entry) <= _LONG:
            lines.append(entry if choice is None else f"{entry:{_WIDTH}} # {_comment(choice)}")
            continue
        lines += [] if choice is None else [f"  # {_comment(choice)}"]
        is_list = isinstance(value, list | tuple)
        lines += [f"  {key}:", *(f"    - {as_yaml(item)}" for item in value)] if is_list else [entry]
    return lines


def _comment(choice: Choice) -> str:
    others = list(choice.others[:_MAX_LISTED])
    more = f"; or {', '.join(others)}" if others else ""
    return _plain(f"{choice.why}{more}")


def _plain(text: str) -> str:
    return harmless(one_line(text, _MAX_COMMENT))


def _without(text: str, values: Mapping[str, object]) -> str:
    """The sections that the config does not set."""
    parts = text.split("\n\n")
    return "\n\n".join(part for part in parts if not any(part.startswith(f"# {name}:") for name in values))
