"""Pages: Jinja2 templates with everything inside, and a policy that lets the browser load nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from spark_ml_audit.outcomes.colours import page_colours
from spark_ml_audit.outcomes.records import affected
from spark_ml_audit.report.page.advice import headline, next_steps
from spark_ml_audit.report.page.data import ReportData
from spark_ml_audit.report.page.full_lists import full_lists
from spark_ml_audit.report.page.payload import MAX_CLASSES, payload_of
from spark_ml_audit.text import for_page, number, percent, plural

PLOT_SCRIPTS = ("vendor/d3.min.js", "vendor/plot.umd.min.js")
"""The plotting library, in the order it must be loaded."""

_STATUS = {
    "ok": "Done",
    "gate_failed": "Done, a quality gate failed",
    "not_delivered": "Done, not everything was delivered",
}


def render_report(data: ReportData) -> str:
    """Write a run's report as one self-contained HTML page.

    Args:
        data: What it says; texts as found in the data.

    Returns:
        The page: no address is loaded, text from data is text in it, whatever it holds.
    """
    run = data.run
    source = run.source.rstrip("/").rpartition("/")[2] or run.source
    return render_page(
        "report.html.j2",
        title=f"Label audit of {for_page(source, 120)}",
        payload=payload_of(data),
        scripts=(*PLOT_SCRIPTS, "table.js", "charts.js", "report.js"),
        data=data,
        run=run,
        counts=data.counts,
        status=_STATUS.get(run.status, run.status),
        headline=headline(data),
        steps=next_steps(data),
        num_affected=len(affected(data.classes)),
        max_classes=MAX_CLASSES,
        full=full_lists(data),
        config=json.dumps(run.config, indent=2, ensure_ascii=False, default=str),
    )


def render_page(
    template: str, *, title: str, payload: Mapping[str, Any], scripts: tuple[str, ...], **context: Any
) -> str:
    """Render a template that extends `base.html.j2`.

    Args:
        template: File name in `templates`.
        title: Title of the page.
        payload: JSON-able data, put into the page where its scripts find them.
        scripts: Files below `assets`, in the order of loading; no other script can run.
        **context: Further names for the template.
    """
    sources = [_asset(name) for name in scripts]
    hashes = " ".join(f"'sha256-{_digest(source)}'" for source in sources)
    return (
        _environment()
        .get_template(template)
        .render(
            title=title,
            payload=payload,
            style=Markup(page_style()),  # noqa: S704 - our own file
            scripts=[Markup(source) for source in sources],  # noqa: S704 - our own files
            # Plot writes a style element into each picture, so styles may stand in the page.
            policy=f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; "
            "base-uri 'none'; form-action 'none'",
            **context,
        )
    )


def render_fragment(template: str, **context: Any) -> str:
    """Render a template that is a piece of a page, not a page of its own.

    Args:
        template: File name in `templates`.
        **context: Names for the template; texts in them are escaped.
    """
    return _environment().get_template(template).render(**context)


def page_style() -> str:
    """The style sheet of all pages."""
    return page_colours() + _asset("report.css")


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = page_environment(__package__)
    environment.policies["json.dumps_kwargs"] = {
        "separators": (",", ":"),
        "allow_nan": False,
        "ensure_ascii": False,
    }
    return environment


def page_environment(package: str) -> Environment:
    """What renders the templates of a package: texts escaped, data and numbers written as on all pages.

    Args:
        package: Dotted name of the package that has the folder `templates`.
    """
    environment = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"shown": for_page, "number": number, "percent": percent}
    environment.globals["plural"] = plural
    return environment


@lru_cache(maxsize=16)
def _asset(name: str) -> str:
    text = files(__package__).joinpath("assets", name).read_text(encoding="utf-8")
    if "</script" in text.lower() or "</style" in text.lower():
        raise ValueError(f"{name} would end the element it stands in")
    return text


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
