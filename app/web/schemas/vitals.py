"""The health and the metrics of a run's containers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import Field

from app.domain.health import CheckStatus, Tally
from app.domain.job.checks import Check, CheckType, Protocol
from app.domain.plans import Plan
from app.runtime.telemetry import CheckRecord, Vitals
from app.web.schemas.base import Model
from app.web.schemas.fields import Time


class ProbeAnswer(Model):
    at: Time
    passed: bool
    answer: str = Field(description="in words, such as: status 503")
    seconds: float


class CheckAnswer(Model):
    """How a health check stands, with its last results, newest first."""

    type: CheckType
    protocol: Protocol
    asks: str = Field(description="what is asked, in words")
    status: CheckStatus
    passes: int = Field(description="in a row, up to the last result")
    failures: int = Field(description="in a row, up to the last result")
    results: list[ProbeAnswer]


class SampleAnswer(Model):
    at: Time
    cpu_cores: float = Field(description="since the sample before")
    memory_bytes: int
    network_rx_bytes: int = Field(description="since the container's start")
    network_tx_bytes: int = Field(description="since the container's start")
    processes: int


class InstanceMetrics(Model):
    """Samples, oldest first; of a long run, fewer and longer ones."""

    index: int
    samples: list[SampleAnswer]


class LimitsAnswer(Model):
    """What the run's plan gives each container."""

    cpus: float
    memory_bytes: int


class AttemptMetrics(Model):
    number: int
    instances: list[InstanceMetrics]
    limits: LimitsAnswer | None = Field(description="null if there is no such plan any more")


class MetricsAnswer(Model):
    attempts: list[AttemptMetrics]


def check_answers(checks: Sequence[Check], found: Mapping[CheckType, CheckRecord]) -> list[CheckAnswer]:
    return [_check_answer(check, found.get(check.type, CheckRecord(Tally(), ()))) for check in checks]


def _check_answer(check: Check, record: CheckRecord) -> CheckAnswer:
    return CheckAnswer(
        type=check.type,
        protocol=check.protocol,
        asks=check.words,
        status=record.tally.status,
        passes=record.tally.passes,
        failures=record.tally.failures,
        results=[
            ProbeAnswer(at=each.at, passed=each.passed, answer=each.words, seconds=each.seconds)
            for each in reversed(record.answers)
        ],
    )


def metrics_answer(instances: int, plan: Plan | None, found: Mapping[int, Vitals]) -> MetricsAnswer:
    """`found` by the number of the attempt."""
    limits = LimitsAnswer(cpus=plan.cpus, memory_bytes=plan.memory_bytes) if plan else None
    return MetricsAnswer(
        attempts=[
            AttemptMetrics(
                number=number,
                instances=[_instance(index, vitals) for index in range(instances)],
                limits=limits,
            )
            for number, vitals in found.items()
        ]
    )


def _instance(index: int, vitals: Vitals) -> InstanceMetrics:
    samples = [
        SampleAnswer(**{name: getattr(each, name) for name in SampleAnswer.model_fields})
        for each in vitals.samples(index)
    ]
    return InstanceMetrics(index=index, samples=samples)
