"""Servers that die, stall and are not heard, on an engine that carries requests out late: never two
starts."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from app.engines.docker.fencing import Adopt, Candidate, Create, Fence, Start, next_step


@dataclass
class Box:
    id: str
    name: str
    starts: int = 0


@dataclass
class Model:
    """An engine with one key: requests as functions, so that they can be carried out at once, late or
    never."""

    pick: Callable[[], int]
    boxes: dict[str, Box] = field(default_factory=dict)
    made: int = 0

    def seen(self) -> list[Candidate]:
        return [Candidate(box.id, box.name, fresh=not box.starts) for box in self.boxes.values()]

    def create(self, name: str) -> bool:
        self.made += 1
        number = f"{self.pick()}-{self.made}"  # ids are in no order
        self.boxes[number] = Box(number, name)
        return True

    def rename(self, box_id: str, name: str) -> bool:
        if box_id not in self.boxes:
            return False
        self.boxes[box_id].name = name
        return True

    def remove(self, box_id: str) -> bool:
        if box_id in self.boxes and not self.boxes[box_id].starts:
            del self.boxes[box_id]
        return True

    def start(self, name: str) -> bool:
        """A process that ends at once, so that a second start would run it again."""
        for box in self.boxes.values():
            if box.name == name:
                box.starts += 1
                return True
        return False


Request = tuple[Callable[..., bool], tuple[str, ...]]
OUTCOMES = ["done", "done", "done", "lost", "dropped", "late"]


def server(model: Model, name: str, data: st.DataObject, late: list[Request]) -> Iterator[None]:
    """One call of `start`, as `starting` makes it, giving way before each request."""
    ours: str | None = None
    look = data.draw(st.booleans(), label=f"{name} looks first")
    names = itertools.count()

    def ask(request: Callable[..., bool], *arguments: str) -> bool | None:
        outcome = data.draw(st.sampled_from(OUTCOMES), label=f"{name}: {request.__name__}{arguments}")
        if outcome == "dropped":
            return None
        if outcome == "late":
            late.append((request, arguments))
            return None
        answer = request(*arguments)
        return None if outcome == "lost" else answer

    while True:
        yield
        step = next_step(model.seen() if look else [], ours)
        look = True
        yield
        answer: bool | None = True
        match step:
            case Adopt():
                return
            case Create():
                ours = f"{name}-{next(names)}"
                answer = ask(model.create, ours)
            case Fence(chosen, others):
                ours = f"{name}-{next(names)}"
                answer = ask(model.rename, chosen.id, ours)
                for other in others:
                    yield
                    answer = ask(model.remove, other.id) and answer
            case Start(chosen):
                answer = ask(model.start, chosen.name)
        if not answer:
            ours = None


@settings(max_examples=400)
@given(st.data())
def test_at_most_one_start_and_in_the_end_one(data: st.DataObject) -> None:
    model = Model(pick=lambda: data.draw(st.integers(0, 9), label="id"))
    late: list[Request] = []
    lives = itertools.count()
    servers = {name: server(model, name, data, late) for name in "abc"}
    for _ in range(data.draw(st.integers(0, 60))):
        move = data.draw(st.sampled_from([*servers, "land", "kill"]))
        if move == "land" and late:
            request, arguments = late.pop(data.draw(st.integers(0, len(late) - 1)))
            request(*arguments)
        elif move == "kill":
            killed = data.draw(st.sampled_from(list(servers)))
            servers[killed] = server(model, f"{killed}{next(lives)}", data, late)
        elif move in servers:
            next(servers[move], None)
        assert sum(box.starts for box in model.boxes.values()) <= 1
    ours: str | None = None
    for number in itertools.count():
        match next_step(model.seen(), ours):
            case Adopt():
                break
            case Create():
                model.create(ours := f"last-{number}")
            case Fence(chosen, others):
                model.rename(chosen.id, ours := f"last-{number}")
                for other in others:
                    model.remove(other.id)
            case Start(chosen):
                model.start(chosen.name)
        assert number < 6
    for request, arguments in late:
        request(*arguments)
    assert sum(box.starts for box in model.boxes.values()) == 1
