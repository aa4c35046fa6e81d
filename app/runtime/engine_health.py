"""Whether the container engine answers, as a loop finds out: who wants to know never waits for the engine."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from app.domain.errors import EngineUnavailable
from app.domain.plans import MIB
from app.engines.base import Capability, Engine, Node

log = logging.getLogger(__name__)
ASKED_EVERY = 5.0  # seconds
ASKED_AGAIN = 1.0  # after no answer
SILENT_AFTER = 6.0  # that a question may take; more than the engine's own time limit for it


@dataclass(frozen=True)
class EngineHealth:
    """Whether the container engine answers, in a sentence; `isolation` says what is amiss with that, if anything.

    `egress` is a sentence about what containers may reach, where that is not enforced; `run_disk` one about what runs
    may write, where that is not bounded although it should be.
    `nodes` are its machines, where it has several.
    `directory` is where it keeps images and containers, `cgroup_driver` what sets up their control groups, as it calls
    them; empty where it does not tell. `lacks` is what it can't do, each in a sentence. `id` is its own.
    """

    is_up: bool
    sentence: str
    isolation: str = ""
    is_isolated: bool = True
    directory: str = ""
    egress: str = ""
    run_disk: str = ""
    cgroup_driver: str = ""
    lacks: Mapping[Capability, str] = field(default_factory=dict)
    id: str = ""
    nodes: Sequence[Node] = ()


def ask(engine: Engine) -> EngineHealth:
    """Waits for the engine for a few seconds."""
    try:
        info = engine.info()
    except EngineUnavailable as error:
        return EngineHealth(is_up=False, sentence=str(error), lacks=engine.lacks())
    size = f": {info.cpus} CPUs, {info.memory_bytes / 2**30:.1f} GiB of memory" if info.cpus else ""
    sentence = f"{info.name} {info.version} answers{_of_nodes(info.nodes)}{size}."
    return EngineHealth(
        True,
        sentence,
        info.isolation,
        info.is_isolated,
        info.directory,
        cgroup_driver=info.cgroup_driver,
        lacks=engine.lacks(),
        id=info.id,
        nodes=info.nodes,
    )


def _of_nodes(nodes: Sequence[Node]) -> str:
    """Return what is said of the machines that it has, where it has several."""
    if not nodes:
        return ""
    number = f" for {len(nodes)} node{'s' * (len(nodes) > 1)}"
    idle = [f"{node.name} is {node.state}" for node in nodes if not node.takes_work]
    return f"{number} ({', '.join(idle)})" if idle else number


def unbounded_disk(run_disk_mb: int, refusal: str) -> str:
    """Return the sentence for people about runs whose disk an engine does not bound, with the engine's reason."""
    return f"Runs are not held to {run_disk_mb} MiB of disk (JOBYARD_RUN_DISK_MB). {refusal}"


class EngineWatch:
    """Asks the engine every few seconds, in `step`, has it confine its containers, and tells whoever wants to know what
    it said last, in `health`.

    A question that is still open after some seconds is no answer either, so what is told is never old.
    """

    def __init__(
        self, engine: Engine, ticks: Callable[[], float] = time.monotonic, *, run_disk_mb: int = 0
    ) -> None:
        self._engine = engine
        self._ticks = ticks
        self._run_disk_mb = run_disk_mb
        self._answered_at = self._began_at = ticks()
        self._asked_at: float | None = None  # of a question that is open
        self._last: EngineHealth | None = None
        self._run_disk_logged = ""
        self.engine_id = ""  # once it has answered

    def step(self) -> float:
        """Ask once; returns the seconds until the engine is to be asked again."""
        self._asked_at = self._ticks()
        try:
            found = self._ask()
        finally:
            self._asked_at = None
        if found.is_up:
            self._answered_at = self._ticks()
            self.engine_id = found.id
        before, self._last = self._last, found
        if before is None or found.is_up is not before.is_up:
            _log_change(found)
        if found.egress and (before is None or found.egress != before.egress):
            log.warning(found.egress)
        if found.run_disk and found.run_disk != self._run_disk_logged:
            log.warning(found.run_disk)
            self._run_disk_logged = found.run_disk
        return ASKED_EVERY if found.is_up else ASKED_AGAIN

    def _ask(self) -> EngineHealth:
        found = ask(self._engine)
        if not found.is_up:
            return found
        try:
            found = replace(found, egress=self._engine.confine())
        except EngineUnavailable as error:
            return EngineHealth(is_up=False, sentence=str(error))
        return replace(found, run_disk=self._run_disk())

    def _run_disk(self) -> str:
        """Return what is amiss with the bound of runs' disk. An engine that can't tell now is asked again."""
        if not self._run_disk_mb:
            return ""
        try:
            refusal = self._engine.disk_refusal(self._run_disk_mb * MIB)
        except EngineUnavailable as error:
            refusal = str(error)
        return refusal and unbounded_disk(self._run_disk_mb, refusal)

    def health(self) -> EngineHealth:
        last, asked_at, now = self._last, self._asked_at, self._ticks()
        is_silent = asked_at is not None and now - asked_at > SILENT_AFTER
        if last is None and not is_silent:
            return EngineHealth(is_up=False, sentence="The container engine has not been asked yet.")
        if last is not None and last.is_up and not is_silent:
            return last
        silence = f"It has not answered for {now - self._answered_at:.0f} s."
        if last is None or last.is_up:
            return EngineHealth(is_up=False, sentence=f"The container engine gives no answer. {silence}")
        return replace(last, sentence=f"{last.sentence} {silence}")


def _log_change(found: EngineHealth) -> None:
    if not found.is_up:
        log.warning(found.sentence)
        return
    log.info(found.sentence)
    if found.isolation:
        log.warning(found.isolation)
