"""What runs use is measured; the clock is moved by hand."""

from __future__ import annotations

from datetime import timedelta

from app.domain.metrics import Sample
from app.engines.fake import Fault, Script
from tests.support.clock import START
from tests.support.installation import Installation
from tests.support.monitored_run import MonitoredRun


class TestMetrics:
    def test_every_two_seconds_for_each_instance(self, place: Installation) -> None:
        monitored = MonitoredRun(place, instances=2)
        sample = Sample(START, 0.51, 20 << 20, 1000, 2000, 3)
        place.engine.script("run-*-1", Script(exit_code=None, sample=sample))
        with monitored.running(containers=2):
            monitored.pass_time(7)
            for instance in (0, 1):
                place.engine.finish(monitored.key(instance=instance))
        vitals = place.log_storage.vitals(monitored.run_id, 1)
        assert [(each.at - START).total_seconds() for each in vitals.samples(0)] == [0.3, 2.3, 4.3, 6.3]
        assert vitals.samples(1) == [sample] * 4
        assert vitals.samples(2) == []

    def test_long_runs_are_kept_in_few_samples(self, place: Installation) -> None:
        monitored = MonitoredRun(place)
        with monitored.running():
            monitored.pass_time(2 * 1001)
            place.engine.finish(monitored.key())
        samples = place.log_storage.vitals(monitored.run_id, 1).samples(0)
        assert 500 <= len(samples) <= 502
        assert samples[1].at - samples[0].at == timedelta(seconds=4)

    def test_an_engine_that_is_away_leaves_a_gap(self, place: Installation) -> None:
        monitored = MonitoredRun(place)
        with monitored.running():
            monitored.pass_time(1)
            place.engine.fail("stats", Fault.REFUSED)
            monitored.pass_time(5)
            place.engine.finish(monitored.key())
        samples = place.log_storage.vitals(monitored.run_id, 1).samples(0)
        assert [(each.at - START).total_seconds() for each in samples] == [0.3, 4.3]

    def test_what_is_over_at_once_is_not_asked(self, place: Installation) -> None:
        monitored = MonitoredRun(place)
        with monitored.running():
            monitored.pass_time(0)
            place.engine.finish(monitored.key())
        assert place.log_storage.vitals(monitored.run_id, 1).samples(0) == []
