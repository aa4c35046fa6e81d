"""Plans: named sizes of a container."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

MIB = 1024 * 1024


@dataclass(frozen=True)
class Plan:
    """A size: `cpus` in cores, `memory_bytes` in bytes. `node_labels` are those of the nodes that it is for, where an
    engine has nodes.
    """

    name: str
    cpus: float
    memory_bytes: int
    node_labels: Mapping[str, str] = field(default_factory=dict, hash=False)


DEFAULT_PLANS = (
    Plan("micro", 0.25, 256 * MIB),
    Plan("small", 0.5, 512 * MIB),
    Plan("medium", 1, 1024 * MIB),
    Plan("large", 2, 2048 * MIB),
    Plan("xlarge", 4, 8192 * MIB),
)
DEFAULT_PLAN = "small"
