"""The review page as its users meet it: the command serve in a process of its own, asked over HTTP."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.lake import Lake
from tests.paths import PROJECT

TAGS = ["comedy", "drama", "noir", "war", "<b>bold</b>", "西部"]
HOSTILE = (
    '<script>document.title="owned"</script><img src=x onerror="document.title=1">'
    " {{7*7}} \u202egpj.exe </textarea>"
)
TOKEN = "token-of-the-tests"


class _Stays(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_Stays)


@dataclass
class Page:
    """A served page.

    Attributes:
        address: As printed.
        process: That serves it.
        person: What a proxy would say; none by default.
    """

    address: str
    process: subprocess.Popen[str]
    person: str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def base(self) -> str:
        return self.address.partition("?")[0].rstrip("/")

    @property
    def port(self) -> int:
        return int(self.base.rpartition(":")[2])

    def ask(
        self, path: str, body: object = None, *, token: str | None = TOKEN, **headers: str
    ) -> tuple[int, Mapping[str, str], str]:
        """Status, headers and text of an answer; a redirection is not followed."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"})
        if token is not None:
            request.add_header("Authorization", f"Bearer {token}")
        if self.person is not None:
            request.add_header("X-Forwarded-Email", self.person)
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        try:
            with _OPENER.open(request, timeout=60) as answer:
                return answer.status, dict(answer.headers), answer.read().decode("utf-8", "replace")
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers), error.read().decode("utf-8", "replace")

    def get(self, path: str, **parameters: Any) -> Any:
        """What the page answers, which must be well."""
        sign = "&" if "?" in path else "?"
        query = f"{sign}{urllib.parse.urlencode(parameters)}" if parameters else ""
        status, _, text = self.ask(path + query)
        assert status == 200, (status, text)
        return json.loads(text)

    def post(self, path: str, body: object) -> Any:
        status, _, text = self.ask(path, body)
        assert status == 200, (status, text)
        return json.loads(text)

    def refused(self, path: str, body: object = None) -> str:
        """Why the page does not do it."""
        status, _, text = self.ask(path, body)
        assert status == 422, (status, text)
        return str(json.loads(text)["error"]["message"])

    def decide(self, name: str, row_id: str, *cells: tuple[str, str], **more: Any) -> Any:
        body = {"decision_id": name, "id": row_id, "cells": [list(cell) for cell in cells], **more}
        return self.post("/api/decisions", body)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(30)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


@contextmanager
def served(lake: Lake, settings: Mapping[str, object]) -> Iterator[Page]:
    """The page over an output until the end of the block."""
    given = {"serve.port": 0, "serve.token": TOKEN, "serve.who": "ann", **settings}
    arguments = ["serve", *(part for part in lake.arguments("serve", given)[1:] if part != "--json")]
    page = start(lake, arguments)
    try:
        yield page
    finally:
        page.close()


def start(lake: Lake, arguments: list[str], environment: Mapping[str, str] | None = None) -> Page:
    """Start serving; returns once it answers."""
    process = subprocess.Popen(
        [sys.executable, "-m", "spark_ml_audit", *arguments],
        cwd=lake.folder,
        env=os.environ | {"PYTHONPATH": str(PROJECT)} | dict(environment or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    if not line:
        assert process.stderr is not None
        raise AssertionError(process.stderr.read())
    return Page(line, process)


def films(num_rows: int = 240, *, hostile: bool = True) -> tuple[list[tuple[Any, ...]], np.ndarray]:
    """Rows with texts and planted errors, and their true tags; the first text is hostile, the second long."""
    rng = np.random.default_rng(4)
    truth = rng.random((num_rows, len(TAGS))) < 0.35
    given = truth ^ (rng.random(truth.shape) < 0.08)
    probs = np.clip(np.where(truth, 0.85, 0.12) + rng.normal(size=truth.shape) * 0.12, 0.001, 0.999)
    texts = [
        f"Film {i}: a story about {', '.join(TAGS[k] for k in np.flatnonzero(truth[i]))}"
        for i in range(num_rows)
    ]
    if hostile:
        texts[0], texts[1] = HOSTILE, "long " * 200_000
        given[:2], probs[:2] = [True] * len(TAGS), 0.01
    rows = [
        (f"film {i:03}", [TAGS[k] for k in np.flatnonzero(given[i])], probs[i].tolist(), texts[i], 1900 + i)
        for i in range(num_rows)
    ]
    return rows, truth


FILMS = "id string, labels array<string>, pred_probs array<double>, text string, year int"


def audited_films(lake: Lake, **settings: Any) -> str:
    """The output of an audit of such films."""
    rows, _ = films()
    source = lake.write(lake.frame(rows, FILMS, TAGS))
    out = lake.path("films-out")
    lake.audit(source__path=source, source__show=["text", "year"], output__path=out, **settings)
    return out


def own_output(house: Lake) -> str:
    """An output of a test's own, of the one audit of films that the tests of a module share."""
    if house.kind != "embedded":
        pytest.skip("the page reads tables in process")
    shared = house.folder / "films-out"
    if not shared.exists():
        audited_films(house)
    house.written += 1
    own = house.path(f"reviewed-{house.written}")
    shutil.copytree(shared, own)
    return own


def flagged(card: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Flagged tags of a card, each with its direction."""
    return [(tag["tag"], tag["flag"]) for tag in card["tags"] if tag["flag"]]


def decisions(house: Lake, output: str) -> list[dict[str, Any]]:
    """The rows of the table of decisions; none where there is none."""
    return house.records(f"{output}/decisions") if Path(output, "decisions").exists() else []
