"""What one project may use: its limits, what they leave, and the sentences about those that are reached."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace

from app.domain.job.spec import RunSpec
from app.domain.plans import DEFAULT_PLANS, MIB, Plan

QUEUE_IS_FULL = "limit:queued_runs"  # the rule of decisions
ANY_NUMBER = 10**6  # more instances than a run can have


@dataclass(frozen=True)
class ProjectLimits:
    """What one project may use; 0 is no limit."""

    jobs: int = field(default=10_000, metadata={"of": "jobs"})
    queued_runs: int = field(default=20_000, metadata={"of": "runs queued"})
    runs_at_once: int = field(default=0, metadata={"of": "runs at work"})
    builds_at_once: int = field(default=0, metadata={"of": "builds at work"})
    cpus: float = field(default=0, metadata={"of": "CPUs of all running containers"})
    memory_mb: int = field(default=0, metadata={"of": "MiB of memory of all running containers"})
    log_mb: int = field(default=0, metadata={"of": "MiB of logs"})

    def with_own(self, own: Mapping[str, float] | None) -> ProjectLimits:
        """These limits, but for those that a project has of its own."""
        known = {name: value for name, value in (own or {}).items() if name in NAMES}
        return replace(self, **known)  # type: ignore[arg-type]  # each is a number


NAMES = tuple(each.name for each in fields(ProjectLimits))
WORDS: Mapping[str, str] = {each.name: each.metadata["of"] for each in fields(ProjectLimits)}


@dataclass(frozen=True)
class Quotas:
    """What a server goes by: the limits of projects that have none of their own, and how big its plans are."""

    defaults: ProjectLimits = field(default_factory=ProjectLimits)
    plans: Mapping[str, Plan] = field(default_factory=lambda: {plan.name: plan for plan in DEFAULT_PLANS})

    def size(self, plan: str, instances: int) -> Size:
        """What all containers of a run take. A plan that there is not takes nothing: such a run fails as it starts."""
        known = self.plans.get(plan)
        if known is None:
            return Size()
        return Size(_milli(known.cpus) * instances, known.memory_bytes * instances)


@dataclass(frozen=True)
class Size:
    """CPU in thousandths of a core, and memory in bytes."""

    cpu_milli: int = 0
    memory_bytes: int = 0

    def __add__(self, other: Size) -> Size:
        return Size(self.cpu_milli + other.cpu_milli, self.memory_bytes + other.memory_bytes)

    @property
    def cpus(self) -> float:
        return self.cpu_milli / 1000

    @property
    def memory_mb(self) -> int:
        return -(-self.memory_bytes // MIB)


@dataclass(frozen=True)
class AtWork:
    """How many runs, or builds, of a project are running, and what their containers take in all."""

    number: int = 0
    size: Size = field(default_factory=Size)


def instances_left(limits: ProjectLimits, at_work: AtWork, plans: Mapping[str, Plan]) -> dict[str, int]:
    """How many containers of each plan fit beside what is at work."""
    cpu_left = _milli(limits.cpus) - at_work.size.cpu_milli
    memory_left = limits.memory_mb * MIB - at_work.size.memory_bytes

    def fits(plan: Plan) -> int:
        by_cpu = cpu_left // (_milli(plan.cpus) or 1) if limits.cpus else ANY_NUMBER
        by_memory = memory_left // (plan.memory_bytes or 1) if limits.memory_mb else ANY_NUMBER
        return max(min(by_cpu, by_memory), 0)

    return {name: fits(plan) for name, plan in plans.items()}


def too_big(limits: ProjectLimits, size: Size, project: str, plan: str, instances: int) -> str | None:
    """Why a run could never start, as it needs more than its project may use in all; None if it could."""
    what = f"plan {plan}" if instances == 1 else f"{instances} instances of plan {plan}"
    needs = "needs" if instances == 1 else "need"
    if limits.cpus and size.cpu_milli > _milli(limits.cpus):
        return _never(f"{what} {needs} {size.cpus:g} CPUs", f"{limits.cpus:g} in all", project, "cpus")
    if limits.memory_mb and size.memory_bytes > limits.memory_mb * MIB:
        memory = f"{what} {needs} {size.memory_mb} MiB of memory"
        return _never(memory, f"{limits.memory_mb} in all", project, "memory_mb")
    return None


def _never(needed: str, most: str, project: str, name: str) -> str:
    return f"{needed}, and project {project} may use {most}: choose a smaller plan, or {_let_raise(name)}"


def full(project: str, name: str, used: int, most: float) -> str:
    """A limit that is reached, as the rest of a sentence."""
    return f"project {project} has {used} of {most:g} {WORDS[name]}; {_can_raise(name)}"


def why_run_waits(
    project: str, limits: ProjectLimits, at_work: AtWork, spec: RunSpec, quotas: Quotas
) -> str | None:
    """Why a queued run of a project doesn't begin by its limits, as a sentence; None if they would let it."""
    if limits.runs_at_once and at_work.number >= limits.runs_at_once:
        return f"Waits: {full(project, 'runs_at_once', at_work.number, limits.runs_at_once)}."
    size = quotas.size(spec.plan, spec.instances)
    never = too_big(limits, size, project, spec.plan, spec.instances)
    if never is not None:
        return f"Waits: {never}."
    together = size + at_work.size
    if limits.cpus and together.cpu_milli > _milli(limits.cpus):
        used = f"{at_work.size.cpus:g} of {limits.cpus:g} CPUs, and this run needs {size.cpus:g}"
        return f"Waits: project {project} uses {used}; {_can_raise('cpus')}."
    if limits.memory_mb and together.memory_bytes > limits.memory_mb * MIB:
        at, needs = at_work.size.memory_mb, size.memory_mb
        used = f"{at} of {limits.memory_mb} MiB of memory, and this run needs {needs}"
        return f"Waits: project {project} uses {used}; {_can_raise('memory_mb')}."
    return None


def why_build_waits(project: str, limits: ProjectLimits, at_work: int) -> str | None:
    """Why a queued build of a project doesn't begin by its limits, as a sentence; None if they would let it."""
    if not limits.builds_at_once or at_work < limits.builds_at_once:
        return None
    return f"Waits: {full(project, 'builds_at_once', at_work, limits.builds_at_once)}."


@dataclass(frozen=True)
class Usage:
    """How much of one limit a project uses now. `most` is 0 where there is no limit."""

    name: str
    used: float
    most: float
    is_own: bool  # set for the project; else it is the server's default

    @property
    def words(self) -> str:
        return WORDS[self.name]


def usages(limits: ProjectLimits, own: Mapping[str, float], used: Mapping[str, float]) -> Iterator[Usage]:
    """How much of each limit is used."""
    for name in NAMES:
        yield Usage(name, used[name], getattr(limits, name), is_own=name in own)


def _can_raise(name: str) -> str:
    return f"an administrator can raise limits.{name}"


def _let_raise(name: str) -> str:
    return f"let an administrator raise limits.{name}"


def _milli(cpus: float) -> int:
    return round(cpus * 1000)
