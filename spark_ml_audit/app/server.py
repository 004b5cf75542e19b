"""The addresses of the page and what they answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from fastapi import Body, FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from spark_ml_audit.app.access import Access
from spark_ml_audit.app.actions import Actions
from spark_ml_audit.app.bulk import accept_certified, accepted, certificates
from spark_ml_audit.app.cards import card_of
from spark_ml_audit.app.decide import decide, drawing_of, take_back
from spark_ml_audit.app.figures import classes_of, found_of, progress_of
from spark_ml_audit.app.images import image_file
from spark_ml_audit.app.pages import headers, render, static_file
from spark_ml_audit.app.people import agreement_of
from spark_ml_audit.app.queues import QueueFilter
from spark_ml_audit.app.refused import add_refusals, told
from spark_ml_audit.app.sent import MOST_NAME, RUN, text_of
from spark_ml_audit.app.session import ReviewSession

_MOST_BODY = 1 << 20
_RUN_HEADER = "x-audit-run"
_CHANGING = ("POST", "PUT", "PATCH", "DELETE")

Handler = Callable[[Request], Awaitable[Response]]


def build_app(
    session: ReviewSession, access: Access, actions: Actions, definitions: Mapping[str, str]
) -> FastAPI:
    """The application of one review.

    Args:
        session: The review.
        access: Who may ask.
        actions: What takes longer than an answer.
        definitions: Tag -> what it means.
    """
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    secured = headers(session.options.image_hosts)

    @app.middleware("http")
    async def guard(request: Request, call: Handler) -> Response:
        response = _refusal(request, access) or await call(request)
        for name, value in secured.items():
            response.headers.setdefault(name, value)
        return response

    add_refusals(app, secured)
    _add_pages(app, session, access, actions.decide_command)
    _add_files(app, session)
    _add_queues(app, session, access, definitions)
    _add_decisions(app, session, access)
    _add_actions(app, session, actions, access)
    return app


def _refusal(request: Request, access: Access) -> Response | None:
    """Why a request is not answered; None where it is."""
    host = request.headers.get("host", "")
    if not access.is_right_host(host):
        return told(403, "The page is reached by another name than this machine's own.")
    token = request.query_params.get("token")
    if not access.admits(request.headers, request.cookies, token):
        return told(
            401, "Open the address that spark-ml-audit serve printed: it holds the token of this page."
        )
    if token is not None and access.token and request.method == "GET":
        # the address without the token: it shall stay neither in the history nor in a shared link
        rest = urlencode(
            [(key, value) for key, value in request.query_params.multi_items() if key != "token"]
        )
        answer = RedirectResponse(f"/{request.url.path.lstrip('/')}" + (f"?{rest}" if rest else ""), 303)
        answer.set_cookie(access.cookie, access.token, httponly=True, samesite="lax", path="/")
        return answer
    if request.method in _CHANGING:
        if not access.is_own_origin(request.headers.get("origin"), request.headers):
            return told(403, "The request comes from another page.")
        if int(request.headers.get("content-length") or 0) > _MOST_BODY:
            return told(413, "The request is too large.")
    return None


def _add_pages(app: FastAPI, session: ReviewSession, access: Access, decide_command: str) -> None:
    def page(request: Request, template: str, **more: Any) -> HTMLResponse:
        who = access.person(request.headers)
        session.look_again()
        name = template.partition(".")[0]
        run, newer = session.reader.run, session.newer_run
        return HTMLResponse(
            render(
                template,
                run=run,
                newer=newer,
                who=who,
                page=name,
                options=session.options,
                decide=decide_command,
                **more,
            )
        )

    @app.get("/")
    def overview(request: Request) -> Response:
        return page(
            request,
            "overview.html.j2",
            counts=found_of(session),
            has_report=session.reader.report() is not None,
        )

    @app.get("/review")
    def review(request: Request) -> Response:
        return page(request, "review.html.j2")

    @app.get("/bulk")
    def bulk(request: Request) -> Response:
        return page(request, "bulk.html.j2")

    @app.get("/finish")
    def finish(request: Request) -> Response:
        return page(request, "finish.html.j2")

    @app.get("/row")
    def row(id: str) -> Response:  # noqa: A002 - the name of the parameter
        """A row by its id: where the report's links lead."""
        session.row_of(id, hold=True)
        return RedirectResponse(f"/review?{QueueFilter(row=id, state='all').query()}", 303)

    @app.get("/queue")
    def queue(request: Request) -> Response:
        """A queue by its tags as pages show them: where the report's tags and bars lead."""
        return RedirectResponse(f"/review?{session.shown_queue(request.query_params).query()}", 303)


def _add_files(app: FastAPI, session: ReviewSession) -> None:
    @app.get("/report")
    def report() -> Response:
        """The run's report, whose rows lead here; its own policy lets its scripts run and load nothing."""
        found = session.reader.report()
        if found is None:
            return Response(status_code=404)
        return HTMLResponse(found, headers={"Content-Security-Policy": "frame-ancestors 'none'"})

    @app.get("/static/{name}")
    def static(name: str) -> Response:
        found = static_file(name)
        if found is None:
            return Response(status_code=404)
        return Response(found[0], media_type=found[1], headers={"Cache-Control": "no-cache"})

    @app.get("/image")
    def image(name: str) -> Response:
        found = image_file(session.options.images, name)
        if found is None:
            return Response(status_code=404)
        return Response(found[0].read_bytes(), media_type=found[1])


def _add_queues(app: FastAPI, session: ReviewSession, access: Access, definitions: Mapping[str, str]) -> None:
    @app.get("/api/classes")
    def classes(request: Request) -> Any:
        found = session.steady(lambda: classes_of(session), _run_of(request))
        return [{**row, "definition": definitions.get(row["tag"])} for row in found]

    @app.get("/api/progress")
    def progress(request: Request) -> Any:
        session.look_again()
        who = access.person(request.headers)
        return session.steady(lambda: progress_of(session, who), _run_of(request))

    @app.get("/api/agreement")
    def agreement(request: Request) -> Any:
        return session.steady(lambda: agreement_of(session), _run_of(request))

    @app.get("/api/item")
    def item(request: Request, at: int | None = None, after: int | None = None) -> Any:
        """An item of the queue that the other parameters name: at a place, or the next open one."""
        session.look_again()
        who = access.person(request.headers)
        return session.steady(lambda: _item(session, request.query_params, who, at, after), _run_of(request))

    @app.post("/api/draw")
    def draw(sent: dict[str, Any] = Body(...)) -> Any:  # noqa: B008 - how FastAPI reads a body
        reader = session.answering(text_of(sent, RUN, MOST_NAME))
        sample_id = reader.draw(drawing_of(sent))
        session.load_samples()
        asked = QueueFilter(kind="sample", sample=sample_id, view="cell")
        return {"sample": sample_id, "address": f"/review?{asked.query()}"}


def _run_of(request: Request) -> str:
    """The run that a page shows, where it says so."""
    return request.headers.get(_RUN_HEADER, "")


def _item(
    session: ReviewSession, parameters: Mapping[str, str], who: str, at: int | None, after: int | None
) -> dict[str, Any]:
    asked = session.asked(parameters)
    queue = session.queue(asked, who)
    total, done = len(queue.items), int(queue.done.sum())
    found: dict[str, Any] = {
        "total": total, "open": total - done, "filter": asked.parameters(), "newer": session.newer_run,
        "run_id": session.reader.run.run_id, "card": None,
    }  # fmt: skip
    place = at if at is not None else queue.first_open(-1 if after is None else after)
    if asked.state in ("all", "done") and at is None and after is None and total:
        place = 0
    return {**found, "card": card_of(session, queue, place, asked)} if 0 <= place < total else found


def _add_decisions(app: FastAPI, session: ReviewSession, access: Access) -> None:
    @app.post("/api/decisions")
    def decisions(request: Request, sent: dict[str, Any] = Body(...)) -> Any:  # noqa: B008 - as above
        who = access.person(request.headers)
        saved = decide(session, sent, who)
        return {"saved": saved, "progress": session.steady(lambda: progress_of(session, who))}

    @app.post("/api/undo")
    def undo(request: Request, sent: dict[str, Any] = Body(...)) -> Any:  # noqa: B008 - as above
        who = access.person(request.headers)
        undone = take_back(session, sent.get("undo"), who, text_of(sent, RUN, MOST_NAME))
        return {"undone": undone, "progress": session.steady(lambda: progress_of(session, who))}


def _add_actions(app: FastAPI, session: ReviewSession, actions: Actions, access: Access) -> None:
    @app.get("/api/jobs")
    def jobs() -> Any:
        return actions.jobs()

    @app.post("/api/jobs")
    def start(request: Request, sent: dict[str, Any] = Body(...)) -> Any:  # noqa: B008 - as above
        return actions.start(sent, access.person(request.headers))

    @app.get("/api/bulk")
    def bulk(request: Request) -> Any:
        return session.steady(
            lambda: {"rows": certificates(session), "accepted": accepted(session)}, _run_of(request)
        )

    @app.post("/api/accept")
    def accept(request: Request, sent: dict[str, Any] = Body(...)) -> Any:  # noqa: B008 - as above
        return accept_certified(session, sent, access.person(request.headers))

    @app.get("/api/changes")
    def changes(request: Request) -> Any:
        return session.steady(
            lambda: {**actions.changes(), "corrections": actions.corrections()}, _run_of(request)
        )

    @app.post("/api/newest")
    def newest() -> Any:
        return {"run_id": actions.open_newest()}

    @app.get("/download/{name}")
    def download(name: str) -> Response:
        found = actions.download(name)
        if found is None:
            return Response(status_code=404)
        content, kind = found
        about = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(content, media_type=kind, headers=about)
