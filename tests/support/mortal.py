"""A server that dies at its n-th contact with the outside world: a commit, a call, a piece of an answer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from app.store.database import Database, Tx


class Killed(BaseException):
    """The server's process is gone: no handler of ours runs any more."""


class Fuse:
    """Blows at the n-th contact (from 1); then, and ever after, every contact raises Killed."""

    def __init__(self, blows_at: int | None = None) -> None:
        self.blows_at = blows_at
        self.burnt: list[str] = []
        self._lock = threading.Lock()

    @property
    def is_blown(self) -> bool:
        return self.blows_at is not None and len(self.burnt) >= self.blows_at

    def check(self) -> None:
        if self.is_blown:
            raise Killed

    def burn(self, point: str) -> None:
        with self._lock:
            self.check()
            self.burnt.append(point)
            self.check()


class MortalDatabase(Database):
    """Another's database, through which one dies before or after a commit; a dead one neither reads nor writes."""

    def __init__(self, of: Database, fuse: Fuse) -> None:
        vars(self).update(vars(of))
        self._fuse = fuse

    @contextmanager
    def read(self) -> Iterator[Tx]:
        self._fuse.check()
        with super().read() as tx:
            yield tx

    @contextmanager
    def write(self) -> Iterator[Tx]:
        self._fuse.check()
        with super().write() as tx:
            yield tx
            self._fuse.burn("before commit")
        self._fuse.burn("after commit")


class Mortal:
    """Dies before or after any call of what it wraps, and between the pieces of what a call yields."""

    def __init__(self, wrapped: object, fuse: Fuse) -> None:
        self._wrapped = wrapped
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._wrapped, name)
        if not callable(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            self._fuse.burn(f"before {name}")
            answer = found(*args, **kwargs)
            self._fuse.burn(f"after {name}")
            return self._pieces(name, answer) if isinstance(answer, Iterator) else answer

        return call

    def _pieces(self, name: str, answer: Iterator[Any]) -> Iterator[Any]:
        for piece in answer:
            yield piece
            self._fuse.burn(f"in {name}")
