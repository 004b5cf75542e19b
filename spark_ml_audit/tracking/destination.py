"""Where an audit's MLflow run goes, decided without importing MLflow or touching the network."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from spark_ml_audit.config.paths import local_path, scheme_of
from spark_ml_audit.engines.extras import install_command
from spark_ml_audit.text import redact

#: URI schemes of MLflow's database stores, which `mlflow-skinny` alone cannot open.
_DATABASE_SCHEMES = frozenset({"sqlite", "postgresql", "mysql", "mssql"})
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}")
#: Environment variables whose values are secrets wherever they turn up.
_SECRET_VARIABLES = (
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "DATABRICKS_TOKEN",
    "DATABRICKS_CLIENT_SECRET",
    "DATABRICKS_PASSWORD",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
)


@dataclass(frozen=True)
class Destination:
    """A tracking store and, where this package chose the store, the folder of its artifacts.

    Attributes:
        uri: MLflow tracking URI, credentials included; never print it, print `shown`.
        artifact_location: URI for the artifacts of a new experiment; None leaves that to MLflow.

    Example:
        >>> store = Destination("postgresql+psycopg2://ann:s3cret@db.example.com/mlflow")
        >>> store.scheme, store.is_local
        ('postgresql', False)
        >>> store.shown
        'postgresql+psycopg2://***@db.example.com/mlflow'
    """

    uri: str
    artifact_location: str | None = None

    @property
    def scheme(self) -> str:
        """URI scheme in lower case without a driver (`mysql+pymysql` is `mysql`); "" for a path."""
        return scheme_of(self.uri).split("+")[0]

    @property
    def is_local(self) -> bool:
        """Whether the store is on this machine's disk, so that nothing waits on a network."""
        return self.scheme in {"", "file", "sqlite"} and self.uri != "databricks"

    @property
    def sqlite_file(self) -> Path | None:
        """Database file of a sqlite store; None for other stores and for one in memory."""
        if not self.uri.startswith("sqlite:///"):
            return None
        path = self.uri.removeprefix("sqlite:///").partition("?")[0]
        return None if path in {"", ":memory:"} or path.startswith("file:") else Path(path)

    @property
    def shown(self) -> str:
        """The URI as it may be printed."""
        return self.redact(self.uri)

    @property
    def how_to_open(self) -> str | None:
        """What opens MLflow's pages of this store: a command for a shell, or the address of its server.

        None where neither is known: on Databricks, and for a database whose address holds a password.

        >>> Destination("http://mlflow.example.com:5000").how_to_open
        'http://mlflow.example.com:5000'
        >>> Destination("postgresql://ann:s3cret@db/mlflow").how_to_open is None
        True
        """
        if self.scheme in ("http", "https"):
            return self.shown
        file = self.sqlite_file
        folder = local_path(self.uri) if self.is_local and self.scheme != "sqlite" else None
        place = str(folder) if file is None else f"sqlite:///{file.absolute()}"
        if (file is None and folder is None) or self.redact(place) != place:
            return None
        # the program of another environment would be another version, or none
        found = shutil.which("mlflow")
        is_own = found is not None and Path(found).parent == Path(sys.executable).parent
        program = "mlflow" if is_own else f"{shlex.quote(sys.executable)} -m mlflow"
        return f"{program} ui --backend-store-uri {shlex.quote(place)}"

    def redact(self, text: str) -> str:
        """Return `text` without this store's credentials and without anything else that looks secret.

        >>> Destination("https://ann:s3cret@host").redact("401 for user ann:s3cret; Bearer 0123456789abcdef")
        '401 for user ***; Bearer ***'
        """
        for secret in sorted(self._secrets(), key=len, reverse=True):
            text = text.replace(secret, "***")
        return _BEARER.sub(r"\1 ***", redact(text))

    def _secrets(self) -> set[str]:
        found = {os.environ.get(name, "") for name in _SECRET_VARIABLES}
        _, _, rest = self.uri.partition("://")
        # A password may hold "@" or "/" unquoted: everything up to the last "@" is credentials. A
        # path may hold "@" too, which is why this is for network stores only.
        if "@" in rest and not self.is_local:
            user_info = rest.rpartition("@")[0]
            password = user_info.partition(":")[2]
            found |= {user_info, password, unquote(password)}
        return {secret for secret in found if len(secret) > 3}


def resolve_tracking_uri(configured: str | None, output_path: str | None) -> tuple[str, str | None]:
    """Choose the tracking store of an audit.

    In this order: the configured one; MLflow's own setting (`mlflow.set_tracking_uri` called in this
    process, `MLFLOW_TRACKING_URI`, a Databricks runtime); a sqlite store in the output folder, or in the
    working directory when the output is not a local folder.

    Args:
        configured: `tracking.uri` of the config.
        output_path: Folder or URI of the output (or `output.files`); None for an output that is a schema.

    Returns:
        The tracking URI, and the artifact location of a store chosen here (None: MLflow's default).

    Example:
        >>> resolve_tracking_uri("https://mlflow.example.com", output_path="audits")
        ('https://mlflow.example.com', None)
    """
    if configured:
        return configured, None
    if own := _own_setting_of_mlflow():
        return own, None
    folder = local_path(output_path) if output_path else None
    # A "?" would start the query part of a database URI.
    folder = Path.cwd() if folder is None or "?" in str(folder) else folder.absolute()
    return f"sqlite:///{folder / 'mlflow.db'}", (folder / "mlartifacts").as_uri()


def missing_requirement(destination: Destination) -> str | None:
    """Return a sentence naming what must be installed to reach the store; None when nothing is missing."""
    if importlib.util.find_spec("mlflow") is None:
        return (
            "MLflow is not installed, so the run is not recorded there. Install it with: "
            f"{install_command('local', packages=('mlflow',))}."
        )
    if destination.scheme in _DATABASE_SCHEMES and any(
        importlib.util.find_spec(name) is None for name in ("sqlalchemy", "alembic")
    ):
        return (
            f"tracking.uri: the MLflow installed here is mlflow-skinny, which cannot keep a database store "
            f"such as {destination.shown}. Install all of it with: "
            f"{install_command('local', packages=('mlflow',))}; or set tracking.uri "
            f"to the http address of a tracking server."
        )
    return None


def _own_setting_of_mlflow() -> str | None:
    # Nobody can have called set_tracking_uri before the module was loaded: no need to load it to know.
    module = sys.modules.get("mlflow.tracking")
    is_set = getattr(module, "is_tracking_uri_set", None)
    if module is not None and is_set is not None and is_set():
        return str(module.get_tracking_uri())
    if uri := os.environ.get("MLFLOW_TRACKING_URI"):
        return uri
    return "databricks" if "DATABRICKS_RUNTIME_VERSION" in os.environ else None
