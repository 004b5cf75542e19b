"""The section `engine`: what runs a command, and how much of the machine it may use."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from spark_ml_audit.config.base import Section
from spark_ml_audit.config.fields import Text, problem
from spark_ml_audit.text import show

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGT])(i?)B?", re.IGNORECASE)
_POWERS = {"k": 1, "m": 2, "g": 3, "t": 4}
_LEAST = 512 << 20


def size_in_bytes(text: str) -> int | None:
    """A size as people write it, in bytes; None for what is none.

    >>> size_in_bytes("2 GiB"), size_in_bytes("500MB"), size_in_bytes("much")
    (2147483648, 500000000, None)
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        return None
    return int(float(match[1]) * (1024 if match[3] else 1000) ** _POWERS[match[2].lower()])


def _check_size(value: str) -> str:
    size = size_in_bytes(value)
    if size is None or size < _LEAST:
        raise problem(
            f"found {show(value)}, which is " + ("no size." if size is None else "less than 512 MiB."),
            "Write a number and a unit, such as 2GiB; at least 512MiB.",
        )
    return value


class EngineConfig(Section):
    """What runs the command.

    Attributes:
        kind: auto takes a Spark session that is there or that the platform gives, else the embedded engine
            (DuckDB, in this process); embedded and spark force one.
        memory: Memory that the embedded engine may use, such as 2GiB; None: an eighth of what is free, 1 GiB
            at least.
        spill: Folder for what does not fit into it; None: the system's folder for temporary files.
    """

    kind: Annotated[Literal["auto", "embedded", "spark"], Field(description="auto, embedded or spark")] = (
        "auto"
    )
    memory: Annotated[
        Annotated[str, AfterValidator(_check_size)] | None, Field(description="a size such as 2GiB")
    ] = None
    spill: Annotated[Text | None, Field(description="the path of a local folder")] = None

    @property
    def settings(self) -> dict[str, object]:
        """What a further command of the same output must be told to run on the same engine.

        >>> EngineConfig(kind="spark").settings, EngineConfig().settings
        ({'engine.kind': 'spark'}, {})
        """
        return {} if self.kind == "auto" else {"engine.kind": self.kind}

    @property
    def memory_bytes(self) -> int | None:
        """Memory in bytes; None for the default.

        >>> EngineConfig.parse({"memory": "1.5 GiB"}).memory_bytes
        1610612736
        """
        return None if self.memory is None else size_in_bytes(self.memory)
