"""A second cancel kills at once."""

from __future__ import annotations

import threading

from app.domain.runs import Cancel, Reason, RunStatus
from app.engines.base import Handle
from app.engines.fake import FakeEngine
from app.store import runs
from tests.support.installation import Installation
from tests.support.monitored_run import MonitoredRun


class TestForcedCancel:
    def cancel(
        self, monitored: MonitoredRun, reason: Reason = Reason.CANCELLED, sentence: str = ""
    ) -> Cancel | None:
        with monitored.place.db.write() as tx:
            sentence = sentence or "Cancelled by ada."
            asked = runs.cancel(
                tx, runs.with_id(tx, monitored.run_id), reason, sentence, monitored.clock.now()
            )
        return None if asked is None else asked.cancel

    def test_the_second_kills_at_once(self, place: Installation) -> None:
        monitored = MonitoredRun(place, grace_period_seconds=600)
        stops: list[float] = []
        asked = threading.Event()

        class Stubborn(FakeEngine):
            def stop(self, handle: Handle, grace_seconds: float) -> None:
                stops.append(grace_seconds)
                asked.set()
                if grace_seconds == 0:
                    super().stop(handle, 0)

        place.engine = Stubborn(monitored.clock.now, place.world)
        monitored.serve("first")
        with monitored.running():
            assert self.cancel(monitored) is Cancel.ASKED
            monitored.watch()
            assert asked.wait(20)
            monitored.watch()
            assert self.cancel(monitored, sentence="Cancelled by ada. Forced by bob.") is Cancel.FORCED
            assert self.cancel(monitored) is None, "more than force can't be"
            monitored.watch()
        assert stops == [600, 0]
        assert (monitored.run.status, monitored.run.reason) == (RunStatus.CANCELLED, Reason.CANCELLED)
        assert monitored.run.sentence == "Cancelled by ada. Forced by bob."
        assert monitored.run.cancel_forced_at == monitored.clock.now()
        assert self.cancel(monitored) is None

    def test_a_replacement_does_not_force(self, place: Installation) -> None:
        monitored = MonitoredRun(place)
        with monitored.running():
            assert self.cancel(monitored, Reason.REPLACED) is Cancel.ASKED
            assert self.cancel(monitored, Reason.REPLACED) is None
            monitored.watch()
        assert monitored.run.reason is Reason.REPLACED
        assert monitored.run.cancel_forced_at is None

    def test_a_queued_run_is_over_at_once(self, place: Installation) -> None:
        monitored = MonitoredRun(place)
        assert self.cancel(monitored) is Cancel.OVER
        assert monitored.run.status is RunStatus.CANCELLED
