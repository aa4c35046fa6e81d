"""Objects of the engine's API, whose reference names their fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

ApiObject = Mapping[str, Any]  # as the engine answers it, or is given it


class ContainerState(TypedDict, total=False):
    """What is read of the `State` of an inspected container."""

    Status: str
    StartedAt: str
    FinishedAt: str
    ExitCode: int
    OOMKilled: bool
    Error: str
