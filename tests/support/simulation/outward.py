"""Who is told: a forge, and the targets of notifications. What arrives there is kept; how they answer is by chance."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from app.domain.errors import Conflict, TransientError
from app.domain.http import HttpAnswer, HttpRequest, NoAnswer
from app.domain.mail import Message
from app.domain.notifications import NotTaken
from tests.support.mortal import Fuse
from tests.support.simulation.hub import Hub

if TYPE_CHECKING:
    from tests.support.simulation.world import SimWorld

SENDS = "sends"  # the tasks of threads that send: what they wait for is waited for by nothing else
LIMIT_SECONDS = 30  # that an answer is waited for


class Answer(enum.Enum):
    TAKES = enum.auto()
    TAKES_LATE = enum.auto()
    LOST = enum.auto()  # it arrives, and the answer does not
    HANGS = enum.auto()  # nothing arrives, and nothing is answered
    FAILS = enum.auto()
    ASKS_TO_WAIT = enum.auto()
    REFUSES = enum.auto()


# As likely as they are frequent.
ANSWERS = (
    *6 * (Answer.TAKES,),
    *2 * (Answer.TAKES_LATE, Answer.LOST, Answer.HANGS, Answer.FAILS),
    Answer.ASKS_TO_WAIT,
    Answer.REFUSES,
)
STATUS_OF = {
    Answer.TAKES: 201,
    Answer.TAKES_LATE: 201,
    Answer.FAILS: 503,
    Answer.ASKS_TO_WAIT: 429,
    Answer.REFUSES: 422,
}


@dataclass
class HubPool:
    """As `KeyedThreadPool`: one call of a key at a time, each a task of its own."""

    fuse: Fuse
    on_done: Callable[[], None] = lambda: None
    busy: set[Hashable] = field(default_factory=set)

    def give(self, key: Hashable, call: Callable[[], None]) -> bool:
        if key in self.busy:
            return False
        self.busy.add(key)

        def work() -> None:
            try:
                call()
            finally:
                self.busy.discard(key)
            self.on_done()

        Hub.current.spawn(self.fuse, SENDS, work)
        return True


@dataclass
class Outward:
    """What one installation tells. `shown` is what the forge shows of commits, by SHA and context: what came last.

    `arrived` counts messages by their key, and `unheard` those of them whose answer was lost; `refused` are those that
    no try could bring. Mail is never answered.
    """

    world: SimWorld
    shown: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    arrived: Counter[str] = field(default_factory=Counter)
    unheard: Counter[str] = field(default_factory=Counter)
    refused: set[str] = field(default_factory=set)

    def restored(self) -> Outward:
        """What is known by what a backup tells of."""
        return replace(
            self,
            shown={**self.shown},
            arrived=self.arrived.copy(),
            unheard=self.unheard.copy(),
            refused={*self.refused},
        )

    def take_status(self, fuse: Fuse, request: HttpRequest) -> HttpAnswer:
        said: Any = request.json
        where = request.url.rpartition("/")[2], said["context"]

        def arrive() -> None:
            self.shown[where] = said["state"], said["description"]

        answer = self._answer(fuse, arrive)
        if answer not in STATUS_OF:
            raise NoAnswer(f"did not answer in {LIMIT_SECONDS} s")
        return HttpAnswer(STATUS_OF[answer], body=b"{}")

    def take_message(self, fuse: Fuse, _url: str, _body: bytes, headers: Mapping[str, str]) -> str:
        key = headers["Idempotency-Key"]
        answer = self._answer(fuse, lambda: self.arrived.update([key]))
        if answer is Answer.REFUSES:
            self.refused.add(key)
            raise Conflict("The address refused the message with status 422.")
        if answer is Answer.LOST:
            self.unheard[key] += 1
        if answer not in (Answer.TAKES, Answer.TAKES_LATE):
            raise NotTaken("The address did not take the message.")
        return "The address took it with status 201."

    def take_mail(self, fuse: Fuse, _message: Message) -> None:
        self._called(fuse)
        self.world.hub.sleep(LIMIT_SECONDS)
        raise TransientError("The mail server did not answer.")

    def _answer(self, fuse: Fuse, arrive: Callable[[], None]) -> Answer:
        """How a call is answered once that is waited for; what is sent arrives at its own time."""
        world = self._called(fuse)
        answer = world.chance.choice(ANSWERS) if world.faults_go_on else Answer.TAKES
        world.facts.untold += answer is not Answer.TAKES
        if answer is Answer.TAKES_LATE:
            world.hub.sleep(world.chance.choice((1, 8, 25)))
        if answer in (Answer.TAKES, Answer.TAKES_LATE, Answer.LOST):
            arrive()
        if answer in (Answer.LOST, Answer.HANGS):
            world.hub.sleep(LIMIT_SECONDS)
        fuse.burn("after a message")
        return answer

    def _called(self, fuse: Fuse) -> SimWorld:
        running = self.world.hub.running
        assert running is not None
        assert running.kind == SENDS, f"the loop {running.kind} waits for it, and nothing else of it goes on"
        fuse.burn("before a message")
        return self.world
