"""Plans: named sizes of a container."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True)
class Plan:
    """A size: `cpus` in cores, `memory_bytes` in bytes."""

    name: str
    cpus: float
    memory_bytes: int


DEFAULT_PLANS = (
    Plan("micro", 0.25, 256 * MIB),
    Plan("small", 0.5, 512 * MIB),
    Plan("medium", 1, 1024 * MIB),
    Plan("large", 2, 2048 * MIB),
    Plan("xlarge", 4, 8192 * MIB),
)
DEFAULT_PLAN = "small"
