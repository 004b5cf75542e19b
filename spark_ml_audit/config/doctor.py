"""The config of `doctor`: of the config of any command it reads what concerns the machine."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from spark_ml_audit.config.base import Section
from spark_ml_audit.config.engine import EngineConfig


class DoctorConfig(Section):
    """What `doctor` reads of a config; it lets all other sections be.

    Attributes:
        engine: What is to run commands, with how much memory.

    Example:
        >>> DoctorConfig.parse({"source": {"path": "films"}, "engine": {"memory": "2GiB"}}).engine.memory
        '2GiB'
    """

    model_config = ConfigDict(extra="ignore")

    engine: EngineConfig = Field(default_factory=EngineConfig)
