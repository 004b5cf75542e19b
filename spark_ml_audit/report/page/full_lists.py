"""What gives a list of the page in full: a query of the tables, a command."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from spark_ml_audit.config import OutputConfig
from spark_ml_audit.config.paths import absolute, is_path, split_identifier
from spark_ml_audit.errors import ConfigError
from spark_ml_audit.report.page.data import ReportData, RunFacts
from spark_ml_audit.text import redact

_SPARK, _DUCKDB = "Spark SQL", "DuckDB, with its extension delta"


@dataclass(frozen=True)
class FullList:
    """What gives a list in full.

    Attributes:
        how: Where the text is to be typed.
        text: A query or a command.
    """

    how: str
    text: str


def full_lists(data: ReportData) -> dict[str, FullList]:
    """What gives each list of a page in full, by the list's key; none whose tables are not known.

    >>> from spark_ml_audit.outcomes.records import Counts
    >>> run = RunFacts("20260131t180000z-0a1b2c3d", "ok", "data/films", "7", "0.2.0", "18:00", "18:05",
    ...                tables={"issues": "/lake/audits/issues"}, engine="embedded")
    >>> print(full_lists(ReportData(run, Counts(9, 9, 0, 0, 1, 1, 0, health=8 / 9)))["rows"].text)
    SELECT * FROM delta_scan('/lake/audits/issues')
    WHERE run_id = '20260131t180000z-0a1b2c3d'
    ORDER BY issue_rank
    """
    run = data.run
    in_duckdb = run.engine == "embedded"
    table = _in_duckdb if in_duckdb else _in_spark
    how, each = (_DUCKDB, "unnest") if in_duckdb else (_SPARK, "explode")
    places = {name: table(place) for name, place in run.tables.items()}
    found = {
        key: FullList(how, redact(query(place, run.run_id)))
        for key, (name, query) in _queries(each).items()
        if (place := places.get(name)) is not None
    }
    if data.since_last_run is not None and (command := _compare(run, data.since_last_run.against.run_id)):
        found["changes"] = FullList("the command line; it writes tables of all changes", redact(command))
    return found


def _queries(each: str) -> dict[str, tuple[str, Callable[[str, str], str]]]:
    """List -> its table, and the query of the table's rows of a run."""

    def rows(order: str, condition: str = "") -> Callable[[str, str], str]:
        more = f" AND {condition}" if condition else ""
        return lambda place, run_id: (
            f"SELECT * FROM {place}\nWHERE run_id = '{run_id}'{more}\nORDER BY {order}"  # noqa: S608 - shown, not run; names are quoted
        )

    def pairs(place: str, run_id: str) -> str:
        own = f"FROM {place} WHERE run_id = '{run_id}'"
        missing = f"SELECT {each}(missing_tags) AS missing, given_tags {own}"
        both = f"SELECT missing, {each}(given_tags) AS given FROM ({missing}) m"  # noqa: S608 - as above
        return (
            f"SELECT missing, given, count(*) AS num_rows\nFROM ({both}) p\n"
            "GROUP BY missing, given\nORDER BY num_rows DESC, missing, given"
        )

    return {
        "classes": ("classes", rows("class_index")),
        "rows": ("issues", rows("issue_rank")),
        "add": ("tag_issues", rows("pred_prob DESC", "issue = 'missing'")),
        "remove": ("tag_issues", rows("pred_prob", "issue = 'extraneous'")),
        "pairs": ("issues", pairs),
        "quarantine": ("quarantine", rows("reason")),
        "ambiguous": ("examples", rows("ambiguity_score DESC", "is_ambiguous")),
        "outliers": ("examples", rows("outlier_score DESC", "is_outlier")),
        "duplicates": ("duplicates", rows("group_id")),
    }


def _in_duckdb(place: str) -> str:
    quoted = absolute(place).replace("'", "''")
    return f"delta_scan('{quoted}')"


def _in_spark(place: str) -> str:
    if is_path(place):
        quoted = absolute(place).replace("`", "``")
        return f"delta.`{quoted}`"
    parts = split_identifier(place)
    return place if parts is None else ".".join("`" + part.replace("`", "``") + "`" for part in parts)


def _compare(run: RunFacts, against: str) -> str | None:
    output = run.config.get("output")
    if not isinstance(output, Mapping):
        return None
    places = {name: output[name] for name in ("path", "schema", "prefix", "files") if output.get(name)}
    if "path" in places:
        places["path"] = absolute(str(places["path"]))
    try:
        place = OutputConfig.parse(places, "output")
    except ConfigError:
        return None
    engine = run.config.get("engine")
    kind = engine.get("kind", "auto") if isinstance(engine, Mapping) else "auto"
    told = {} if kind == "auto" else {"engine.kind": kind}
    return place.command("compare", {"compare.run": run.run_id, "compare.against": against, **told})
