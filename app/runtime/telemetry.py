"""What is kept of a container's health and metrics, in files beside its attempt's log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from app.domain.health import Answer, Tally
from app.domain.job.checks import CheckType
from app.domain.metrics import Sample, thinned
from app.logs.records import Record, Records, read_records

SAMPLES = 1000  # of a container; beyond, the resolution is halved
ANSWERS = 20  # to each check, the last ones


@dataclass(frozen=True)
class CheckRecord:
    """The answers to one check: how it stands, and the last of them, oldest first."""

    tally: Tally
    answers: Sequence[Answer]


class HealthRecords:
    """Writes the answers to the checks of one container."""

    def __init__(self, path: Path) -> None:
        self._records = Records(path, 4 * ANSWERS, _last_answers)

    @property
    def tallies(self) -> dict[CheckType, Tally]:
        """Return how the checks stood when the last answer was written."""
        return {type_: record.tally for type_, record in _checks(self._records.all).items()}

    def append(self, type_: CheckType, tally: Tally) -> None:
        """Keep the tally's last answer, and how it stands with it."""
        answer = tally.last
        assert answer is not None
        state = [tally.passes, tally.failures, tally.is_passing]
        self._records.append(
            [type_, answer.at.isoformat(), answer.passed, answer.words, round(answer.seconds, 3), *state]
        )


class MetricsRecords:
    """Writes the samples of one container."""

    def __init__(self, path: Path) -> None:
        self._records = Records(path, SAMPLES, _fewer_samples)

    def append(self, sample: Sample) -> None:
        self._records.append(_to_record(sample))


@dataclass(frozen=True)
class Vitals:
    """The files of one attempt, below `root`: two for each of its containers."""

    root: Path

    def write_health(self, instance: int) -> HealthRecords:
        return HealthRecords(self._health_path(instance))

    def write_metrics(self, instance: int) -> MetricsRecords:
        return MetricsRecords(self._metrics_path(instance))

    def health(self, instance: int) -> Mapping[CheckType, CheckRecord]:
        """The checks that were answered."""
        return _checks(read_records(self._health_path(instance)))

    def samples(self, instance: int) -> list[Sample]:
        """Oldest first."""
        return [_to_sample(record) for record in read_records(self._metrics_path(instance))]

    def _health_path(self, instance: int) -> Path:
        return self.root / f"{instance}.health"

    def _metrics_path(self, instance: int) -> Path:
        return self.root / f"{instance}.metrics"


def _checks(records: Sequence[Record]) -> dict[CheckType, CheckRecord]:
    checks: dict[CheckType, CheckRecord] = {}
    for type_, at, passed, words, seconds, passes, failures, is_passing in records:
        answer = Answer(datetime.fromisoformat(at), passed, words, seconds)
        before = checks[type_].answers if type_ in checks else ()
        tally = Tally(passes, failures, is_passing, answer)
        checks[CheckType(type_)] = CheckRecord(tally, (*before, answer)[-ANSWERS:])
    return checks


def _last_answers(records: Sequence[Record]) -> Sequence[Record]:
    """The last ones to each check, in the order in which they came."""
    kept = [record for type_ in CheckType for record in [r for r in records if r[0] == type_][-ANSWERS:]]
    return sorted(kept, key=lambda record: datetime.fromisoformat(record[1]))


def _fewer_samples(records: Sequence[Record]) -> Sequence[Record]:
    return [_to_record(sample) for sample in thinned([_to_sample(record) for record in records], SAMPLES)]


def _to_record(sample: Sample) -> Record:
    return [
        sample.at.isoformat(timespec="milliseconds"),
        round(sample.cpu_cores, 4),
        sample.memory_bytes,
        sample.network_rx_bytes,
        sample.network_tx_bytes,
        sample.processes,
    ]


def _to_sample(record: Record) -> Sample:
    at, *figures = record
    return Sample(datetime.fromisoformat(at), *figures)
