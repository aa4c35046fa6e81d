"""Tells what is over as spans, outside of any transaction: a collector that hangs or is down holds up nothing else.

A server that dies between the telling and its record tells it once more: under the same ids, so it is the same span.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from app.commands.traces import spans_of
from app.domain.errors import JobyardError
from app.domain.traces import NotCollected, Refused, Traced, TracedSpan
from app.runtime.ports import Clock
from app.store import traces
from app.store.database import Database, StoreUnavailable, Tx

log = logging.getLogger(__name__)
AT_ONCE = 200
TELLING_TAKES_AT_MOST = timedelta(minutes=1)  # then another server may try
TRIED_AGAIN_AFTER = timedelta(seconds=15)


@dataclass
class TraceWorker:
    """`send` hands spans over to the collector, or raises NotCollected or Refused."""

    db: Database
    clock: Clock
    send: Callable[[Sequence[TracedSpan]], None]
    _is_down: bool = False

    def step(self) -> bool:
        """True if anything was told, or tried."""
        now = self.clock.now()
        with self.db.write() as tx:
            due = traces.claim(tx, now, now + TELLING_TAKES_AT_MOST, AT_ONCE)
        if not due:
            return False
        with self.db.read() as tx:
            spans = [span for _, kind, row_id in due for span in _readable(tx, kind, row_id)]
        self._tell(spans, [id_ for id_, _, _ in due])
        return True

    def _tell(self, spans: Sequence[TracedSpan], due: Sequence[int]) -> None:
        try:
            self.send(spans)
        except NotCollected as error:
            self._put_off(due, error)
            return
        except Refused as error:
            log.warning("%s", error)
        with self.db.write() as tx:
            traces.drop(tx, due)
        if self._is_down:
            log.info("the collector takes traces again")
        self._is_down = False

    def _put_off(self, due: Sequence[int], error: NotCollected) -> None:
        with self.db.write() as tx:
            dropped = traces.put_off(tx, due, self.clock.now() + TRIED_AGAIN_AFTER)
        if not self._is_down:
            log.warning("%s", error)
        if dropped:
            log.warning("%s traces are left out, as too many wait for the collector", dropped)
        self._is_down = True


def _readable(tx: Tx, kind: Traced, row_id: int) -> Iterator[TracedSpan]:
    """Nothing of what is gone by now, or can't be read."""
    try:
        yield from spans_of(tx, kind, row_id)
    except StoreUnavailable:
        raise
    except JobyardError as error:
        log.info("a span is left out: %s", error)
