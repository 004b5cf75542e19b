"""The config of the command `serve`."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from spark_ml_audit.config.audit import AuditSource
from spark_ml_audit.config.base import Section
from spark_ml_audit.config.engine import EngineConfig
from spark_ml_audit.config.fields import AnyText, Columns, Fraction, PlaceText, Text, problem
from spark_ml_audit.config.output import OutputConfig, RunId, TrackingConfig
from spark_ml_audit.text import show

DEFAULT_PORT = 8765
MIN_TOKEN = 16
"""Characters of a token, at least."""


_HOST = re.compile(r"https?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?")


def _check_host(value: str) -> str:
    # it becomes part of the policy of a page: nothing but an address is let through
    if not _HOST.fullmatch(value):
        raise problem(
            f"found {show(value)}, not the address of a host.", "Write it as https://images.example.com."
        )
    return value


class ServeSection(Section):
    """The review page.

    Attributes:
        run: Audit to review; None for the newest.
        host: Address to listen on; the loopback one unless others on the network shall reach the page.
        port: Port to listen on, 0 for any that is free; None for 8765, or any that is free where it is taken.
        token: What a browser must show once; None for a new one each time. As a variable of the environment:
            SPARK_ML_AUDIT_TOKEN.
        who: Person whose decisions these are where no proxy says who asks; None for the user of this machine.
        show: Columns of the source to show; None for those of the audit's source.show, else its first texts.
        image: Column of the source with the address or the path of a picture.
        images: Folder below which paths of pictures are; None: paths are not followed.
        image_hosts: Where pictures may be loaded from, such as https://images.example.com; none by default:
            the page asks no other address for anything.
        definitions: What the tags mean: a CSV, JSON or YAML file, or a table with the columns tag and
            description.
        warehouse: Id of the SQL warehouse that reads an output in a schema; None: what the variable
            DATABRICKS_WAREHOUSE_ID of a Databricks App says.
        min_precision: What accepting in bulk must reach, with 95% confidence.
        reviewers: Who shares the work: rows are dealt out among them; None: everybody sees every row.
        overlap: Share of the rows that every one of them judges, to see how far they agree.
    """

    run: Annotated[RunId | None, Field(description="the run_id of an audit, or null for the newest")] = None
    host: Annotated[Text, Field(description="an address such as 127.0.0.1")] = "127.0.0.1"
    port: Annotated[
        Annotated[int, Field(ge=0, le=65_535)] | None, Field(description="a whole number from 0 to 65535")
    ] = None
    token: Annotated[
        Annotated[Text, Field(min_length=MIN_TOKEN)] | None,
        Field(description="a text of 16 or more characters"),
    ] = None
    who: Annotated[Text | None, Field(description="a name, or null")] = None
    show: Annotated[Columns | None, Field(description="a column name, a list of them, or null")] = None
    image: Annotated[AnyText | None, Field(description="a column name, or null")] = None
    images: Annotated[Text | None, Field(description="the path of a folder, or null")] = None
    image_hosts: Annotated[
        tuple[Annotated[str, AfterValidator(_check_host)], ...],
        Field(strict=False, description="a list of addresses"),
    ] = ()
    definitions: PlaceText | None = None
    warehouse: Annotated[Text | None, Field(description="the id of a SQL warehouse, or null")] = None
    min_precision: Annotated[Fraction, Field(gt=0.5, lt=1, description="a number between 0.5 and 1")] = 0.9
    reviewers: Annotated[tuple[Text, ...], Field(strict=False, description="a list of names")] = ()
    overlap: Annotated[Fraction, Field(description="a number from 0 to 1")] = 0.1


class ServeConfig(Section):
    """The whole config of the command `serve`.

    Attributes:
        serve: The page.
        output: Output of the audit; gets the decisions.
        source: Source of the audit where the run does not say (audits of DataFrames); None: what it says.
        tracking: Where an audit that the page starts is tracked.
        engine: What reads the tables.
    """

    serve: ServeSection = ServeSection()
    output: OutputConfig
    tracking: TrackingConfig = TrackingConfig()
    engine: EngineConfig = EngineConfig()
    source: AuditSource | None = None


__all__ = ["DEFAULT_PORT", "MIN_TOKEN", "ServeConfig", "ServeSection"]
