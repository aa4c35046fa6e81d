"""Durable recording of deliveries at speed: one thread commits whatever arrived meanwhile in one transaction."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from datetime import datetime

from app.store import refused_calls
from app.store.counts import Happened
from app.store.database import Database, StoreUnavailable
from app.store.deliveries import NewDelivery, count_rejected, record
from app.store.refused_calls import About, RefusedCalls

log = logging.getLogger(__name__)
BATCH = 256
Waiting = tuple[NewDelivery, Callable[[bool | Exception], None]]


class Inbox:
    """Group commit: `put` is answered once the delivery is on disk, `True` if it was new, `False` for a repeat."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._waiting: queue.SimpleQueue[Waiting | None] = queue.SimpleQueue()
        self.arrived = 0  # deliveries so far: how fast it grows tells a burst
        self._rejected = 0
        self._refused: dict[About, RefusedCalls] = {}  # not in the store yet
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="inbox", daemon=True)
        self._thread.start()

    def put(self, delivery: NewDelivery, answer: Callable[[bool | Exception], None]) -> None:
        """Record and call `answer` from the inbox's thread."""
        self.arrived += 1
        self._waiting.put((delivery, answer))

    def put_and_wait(self, delivery: NewDelivery) -> bool:
        done: Future[bool | Exception] = Future()
        self.put(delivery, done.set_result)
        result = done.result()
        if isinstance(result, Exception):
            raise result
        return result

    def reject(self, about: Iterable[About], now: datetime) -> None:
        """Count a call that failed verification, for repositories that are known here.

        Nothing else of it is kept, and it costs no commit of its own.
        """
        self._db.counts.add([Happened("delivery rejected", ())])
        with self._lock:
            self._rejected += 1
            for each in about:
                self._refused[each] = self._refused.get(each, RefusedCalls(0, now, now)).and_one(now)

    @property
    def rejected(self) -> int:
        """Calls that were turned away and are not counted in the store yet."""
        return self._rejected

    def flush_rejected(self) -> None:
        with self._lock:
            number, self._rejected = self._rejected, 0
            refused, self._refused = self._refused, {}
        if not number:
            return
        try:
            with self._db.write() as tx:
                count_rejected(tx, number)
                if refused:
                    refused_calls.count(tx, refused)
        except StoreUnavailable:
            with self._lock:
                self._rejected += number
                self._refused = {**refused, **self._refused}
            raise

    def close(self) -> None:
        self._waiting.put(None)
        self._thread.join()
        try:
            self.flush_rejected()
        except StoreUnavailable as error:
            log.warning("%d calls that were turned away are not counted: %s", self._rejected, error)

    def _work(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch = [first]
            last = False
            while len(batch) < BATCH and not self._waiting.empty():
                following = self._waiting.get()
                if following is None:
                    last = True
                    break
                batch.append(following)
            self._commit(batch)
            if last:
                return

    def _commit(self, batch: list[Waiting]) -> None:
        try:
            new = record(self._db, [delivery for delivery, _ in batch])
        except Exception as error:
            if len(batch) > 1 and not isinstance(error, StoreUnavailable):
                for each in batch:  # one of them can't be stored: the others must not suffer for it
                    self._commit([each])
                return
            for _, answer in batch:
                _tell(answer, error)
            return
        for delivery, answer in batch:
            key = (delivery.forge, delivery.guid)
            self._db.counts.add(
                [Happened("delivery", (delivery.forge, _status(delivery, is_new=key in new)))]
            )
            _tell(answer, key in new)
            new.discard(key)  # the same delivery twice in one batch: the second is a repeat


def _status(delivery: NewDelivery, *, is_new: bool) -> str:
    if not is_new:
        return "repeated"
    return "ignored" if delivery.ignored else "received"


def _tell(answer: Callable[[bool | Exception], None], result: bool | Exception) -> None:
    """The delivery is on disk or refused, even if nobody is there any more to hear it."""
    try:
        answer(result)
    except Exception:
        log.exception("the answer about a delivery could not be given")
