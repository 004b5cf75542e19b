"""The HTML of the page: templates, its files, and the headers that let a browser load nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment

from spark_ml_audit.report.page.render import page_environment, page_style

STYLES = ("report.css", "app.css")
SCRIPTS = (
    "api.js",
    "aside.js",
    "outbox.js",
    "dom.js",
    "card.js",
    "keys.js",
    "review.js",
    "overview.js",
    "bulk.js",
    "finish.js",
    "jobs.js",
)
_TYPES = {"css": "text/css", "js": "text/javascript"}


def headers(image_hosts: Sequence[str] = ()) -> dict[str, str]:
    """What every answer says to the browser: load only from here, tell nobody, be framed by nobody."""
    images = " ".join(["'self'", "data:", *image_hosts])
    return {
        "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
        f"connect-src 'self'; img-src {images}; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-store",
    }


def render(template: str, **context: Any) -> str:
    """A page of the folder `templates`."""
    return _environment().get_template(template).render(**context)


def static_file(name: str) -> tuple[str, str] | None:
    """Content and type of a style sheet or script; None where there is none of that name."""
    if name not in (*STYLES, *SCRIPTS):
        return None
    return _content(name), _TYPES[name.rpartition(".")[2]]


@lru_cache(maxsize=16)
def _content(name: str) -> str:
    if name == "report.css":
        return page_style()
    return files(__package__).joinpath("static", name).read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return page_environment(__package__)
