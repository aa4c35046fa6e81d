"""What this process has claimed and works on, so that nothing is left that nobody works on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from app.domain.builds import Build
from app.domain.runs import Run
from app.store.claims import Claim
from app.store.deliveries import Delivery


def claim_of(claimed: Build | Run | Delivery) -> Claim:
    return claimed.id, claimed.token


class ClaimRegistry:
    """The claims that this process works on.

    Whoever claims, and whoever looks for rows that nobody works on, takes its `turn`: a claim is never seen without
    its entry here.
    """

    def __init__(self) -> None:
        self.turn = threading.Lock()
        self.claims: set[Claim] = set()

    @contextmanager
    def until_done(self, claimed: Build | Run | Delivery) -> Iterator[None]:
        try:
            yield
        finally:
            self.claims.discard(claim_of(claimed))

    def take(self, claimed: Build | Run | Delivery) -> None:
        self.claims.add(claim_of(claimed))
