"""How many runs there are at once, the sizes that they may have, and what is recorded of them."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from app.config.group import Group
from app.domain.plans import DEFAULT_PLANS, MIB, Plan

_LABEL = re.compile(r"([A-Za-z0-9][A-Za-z0-9._/-]*)=([A-Za-z0-9][A-Za-z0-9._-]*)")


def _readable_plans(value: str) -> str:
    _plans(value)
    return value


class RunSettings(Group):
    workers_runs: int = Field(default=8, ge=1, le=256, description="runs at once")
    shells: int = Field(
        default=8, ge=0, le=100, description="shells in running containers at once; 0 switches them off"
    )
    shell_idle_minutes: int = Field(
        default=15, ge=1, le=1440, description="a shell into which nobody types is closed after this long"
    )
    plans: Annotated[str, AfterValidator(_readable_plans)] = Field(
        default="",
        description="sizes to add or change: name=cpus:MiB, separated by commas; with @LABEL=VALUE for the nodes of a"
        " cluster that have that label, such as gpu=8:16384@accelerator=gpu",
    )
    run_disk_mb: int = Field(
        default=0,
        ge=0,
        le=10**8,
        description="MiB that each container of a run may write to its own files, where the engine can; 0: any amount",
    )
    metrics_seconds: int = Field(
        default=2, ge=1, le=60, description="between two readings of a container's CPU, memory and network"
    )
    log_cap_mb: int = Field(default=100, ge=1, description="kept of each log: its first and its last part")

    @property
    def sizes(self) -> dict[str, Plan]:
        """The plans by name, in order of size."""
        named = {plan.name: plan for plan in (*DEFAULT_PLANS, *_plans(self.plans))}
        return dict(sorted(named.items(), key=lambda item: (item[1].cpus, item[1].memory_bytes)))


def _plans(text: str) -> list[Plan]:
    plans = []
    for item in filter(None, text.split(",")):
        given, *labels = item.split("@")
        name, _, size = given.partition("=")
        cpus, _, mib = size.partition(":")
        try:
            plans.append(Plan(name.strip(), float(cpus), int(mib) * MIB, dict(map(_label, labels))))
        except ValueError:
            raise ValueError(
                f"{item!r} is not name=cpus:MiB, such as huge=8:16384, or huge=8:16384@disk=ssd for nodes with a label"
            ) from None
    return plans


def _label(text: str) -> tuple[str, str]:
    """Raises ValueError."""
    found = _LABEL.fullmatch(text.strip())
    if found is None:
        raise ValueError
    return found[1], found[2]
