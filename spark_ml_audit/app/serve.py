"""`serve`: the review page over an output, until it is stopped."""

from __future__ import annotations

import getpass
import os
import secrets
import socket
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from spark_ml_audit.app.access import Access, is_loopback
from spark_ml_audit.app.allocator import keep_little
from spark_ml_audit.config.serve import DEFAULT_PORT, MIN_TOKEN, ServeConfig
from spark_ml_audit.engines.extras import install_command
from spark_ml_audit.errors import ConfigError, SetupError
from spark_ml_audit.text import plural

if TYPE_CHECKING:
    from spark_ml_audit.progress import Progress

TOKEN_VARIABLE = "SPARK_ML_AUDIT_TOKEN"  # noqa: S105 - the name of a variable
_APP_PORT = "DATABRICKS_APP_PORT"
_THREADS = 8
_NEEDED = ("fastapi", "uvicorn")

Announce = Callable[[str], None]


def run_serve(config: ServeConfig, progress: Progress, announce: Announce) -> None:
    """Serve the review page over an output, until the process is told to stop.

    Args:
        config: The effective config.
        progress: Shows the stages.
        announce: Is told the address, token included, once it answers.

    Raises:
        ConfigError: There is no such run, or the port cannot be listened on.
        SetupError: The extra `app` is not installed.
    """
    _require_packages()
    keep_little()  # before there are threads
    listening, access = _listen(config)
    try:
        with progress.stage("tables"):
            app, close = _application(config, access)
        _serve(app, listening, lambda: announce(_address(listening, access)))
        close()
    finally:
        listening.close()


def _require_packages() -> None:
    from importlib.util import find_spec

    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise SetupError(
            f"the review page is not installed: it needs {', '.join(missing)}.",
            key="serve",
            fix=f"Install it with: {install_command('app')}",
        )


def _listen(config: ServeConfig) -> tuple[socket.socket, Access]:
    """The socket that the page is served on, and who may ask there."""
    options, app_port = config.serve, os.environ.get(_APP_PORT)
    who = options.who or _user()
    if app_port is not None and app_port.isdigit():
        # in a Databricks App: its proxy signs people in, and reaches the port it named from elsewhere
        host, port, token = "0.0.0.0", int(app_port), ""  # noqa: S104 - as said
    else:
        host, port = options.host, DEFAULT_PORT if options.port is None else options.port
        token = options.token or _token_of_environment() or secrets.token_urlsafe(24)
    try:
        found = _bound(host, port)
    except OSError as error:
        if options.port is not None or app_port is not None:
            raise ConfigError(
                f"{host}:{port} cannot be listened on: {error.strerror or error}.",
                key="serve.port",
                fix="Choose another serve.port, or 0 for any that is free.",
            ) from error
        found = _bound(host, 0)
    return found, Access(token, found.getsockname()[1], is_loopback(host), who)


def _token_of_environment() -> str:
    token = os.environ.get(TOKEN_VARIABLE, "")
    if 0 < len(token) < MIN_TOKEN:
        raise ConfigError(
            f"found a token of {plural(len(token), 'character')}, which can be guessed.",
            key=TOKEN_VARIABLE,
            fix=f"Set it to {MIN_TOKEN} or more characters, or unset it: a new token is made each time then.",
        )
    return token


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
        found.listen(128)
    except OSError:
        found.close()
        raise
    return found


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no such user, as in some containers
        return "me"


def _address(listening: socket.socket, access: Access) -> str:
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/" + (f"?token={access.token}" if access.token else "")


def _application(config: ServeConfig, access: Access) -> tuple[Any, Callable[[], None]]:
    import pyarrow as pa

    from spark_ml_audit.app.actions import Actions
    from spark_ml_audit.app.choose import choose_reader
    from spark_ml_audit.app.definitions import read_definitions
    from spark_ml_audit.app.server import build_app
    from spark_ml_audit.app.session import ReviewSession

    # a server lives for long, and this one gives back what it does not need any more
    pa.set_memory_pool(pa.system_memory_pool())
    reader, engine = choose_reader(config)
    definitions = read_definitions(engine, config.serve.definitions)
    session = ReviewSession(reader, config.serve)
    actions = Actions(session, config)

    def close() -> None:
        actions.close()
        session.close()

    return build_app(session, access, actions, definitions), close


def _serve(app: Any, listening: socket.socket, ready: Callable[[], None]) -> None:
    import uvicorn
    from anyio import to_thread

    class Announced(uvicorn.Server):
        """Says when it answers."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            # every thread that answers keeps memory of its own
            to_thread.current_default_thread_limiter().total_tokens = _THREADS
            await super().startup(sockets)
            if self.started:
                ready()

    # one process: the state of a review is in it; asyncio and h11, which come with uvicorn itself
    options = uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="off", server_header=False, loop="asyncio",
        http="h11", timeout_graceful_shutdown=3, proxy_headers=False,
    )  # fmt: skip
    try:
        Announced(options).run(sockets=[listening])
    except KeyboardInterrupt:
        sys.stderr.flush()
