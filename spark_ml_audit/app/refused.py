"""How the page says no: every refusal and failure as one sentence with its key and what to do."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from spark_ml_audit.app.sent import OtherRunError, plain_text
from spark_ml_audit.errors import AuditError, reason_of
from spark_ml_audit.text import redact

_UNREADABLE = "The request is not what this page sends"


def told(
    status: int,
    message: str,
    fix: str = "",
    key: str | None = None,
    *,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An answer that says what is wrong.

    Args:
        status: Of HTTP.
        message: In one sentence.
        fix: What to do about it.
        key: What it is about.
        headers: Of the answer, where no middleware adds them.
    """
    said = {"key": key, "message": plain_text(redact(message)), "fix": plain_text(redact(fix))}
    return JSONResponse({"error": said}, status_code=status, headers=headers)


def add_refusals(app: FastAPI, secured: Mapping[str, str]) -> None:
    """Have an application tell its refusals.

    Args:
        app: The application.
        secured: Headers of answers that no middleware sees.
    """

    @app.exception_handler(AuditError)
    async def refused(_: Request, error: AuditError) -> Response:
        status = 409 if isinstance(error, OtherRunError) else 422
        return told(status, error.message, error.fix, error.key)

    @app.exception_handler(RequestValidationError)
    async def misshapen(_: Request, error: RequestValidationError) -> Response:
        found = [(".".join(map(str, fault["loc"][:2])), fault["msg"]) for fault in error.errors()[:1]]
        said = "".join(f": {place}: {message}" for place, message in found)
        return told(422, f"{_UNREADABLE}{said}."[:400], key="request")

    @app.exception_handler(HTTPException)
    async def unknown(_: Request, error: HTTPException) -> Response:
        return told(error.status_code, f"{_UNREADABLE}: {error.detail}."[:400], key="request")

    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> Response:
        return told(500, f"{type(error).__name__}: {reason_of(error)}"[:400], headers=secured)
