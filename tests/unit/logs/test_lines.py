"""Lines of several sources come whole, and each source's bytes in its own order."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from app.logs.lines import LineOrder, Output, Source

OURS = (0, 0)
A, B, C = (1, 0), (2, 0), (1, 1)
PATIENCE = 0.75


@dataclass
class Paper:
    """What is written, with the source of each byte."""

    said: list[tuple[Source, bytes]] = field(default_factory=list)

    @property
    def text(self) -> bytes:
        return b"".join(data for _, data in self.said)

    @property
    def open_source(self) -> Source | None:
        return None if not self.text or self.text.endswith(b"\n") else self.said[-1][0]

    def put(self, source: Source, output: Output) -> None:
        self.said.append((source, output.data))

    def break_line(self, micros: int) -> None:
        assert micros >= 0
        self.said.append((OURS, b"\n"))

    def of(self, source: Source) -> bytes:
        return b"".join(data for who, data in self.said if who == source)

    def lines(self) -> list[tuple[Source, bytes]]:
        """Each with its only source."""
        lines: list[tuple[set[Source], bytes]] = [(set(), b"")]
        for source, data in self.said:
            for piece in data.splitlines(keepends=True):
                who, text = lines[-1]
                lines[-1] = (who | ({source} if source != OURS else set()), text + piece)
                if piece.endswith(b"\n"):
                    lines.append((set(), b""))
        assert all(len(who) <= 1 for who, _ in lines), lines
        return [(who.pop(), text) for who, text in lines if who]


def say(order: LineOrder, now: float, source: Source, data: bytes) -> None:
    order.say(source, Output(int(now * 1e6), data), now)


def test_one_source_is_written_at_once() -> None:
    paper = Paper()
    order = LineOrder(paper, PATIENCE, 0.0)
    for now, data in enumerate((b"50%\r", b"100%\r", b"done\npass", b"word: ")):
        say(order, now, A, data)
        assert paper.text.endswith(data)
        assert order.due_at is None


def test_pieces_of_lines_are_put_together() -> None:
    paper = Paper()
    order = LineOrder(paper, PATIENCE, 0.0)
    for piece in (b"used", b" 16", b" MiB", b"\n"):
        for source in (A, B, C):
            say(order, 1.0, source, piece)
    assert paper.lines() == [(source, b"used 16 MiB\n") for source in (A, B, C)]
    assert order.due_at is None


def test_a_line_is_waited_for_no_longer_than_patience() -> None:
    paper = Paper()
    order = LineOrder(paper, PATIENCE, 0.0)
    say(order, 1.0, A, b"working ... ")
    say(order, 1.5, B, b"warning\n")
    assert (paper.text, order.due_at) == (b"working ... ", 1.0 + PATIENCE)
    order.let_in(1.7)
    assert paper.text == b"working ... "
    order.let_in(1.0 + PATIENCE)
    assert paper.lines() == [(A, b"working ... \n"), (B, b"warning\n")]
    say(order, 3.0, A, b"ok\n")
    assert paper.of(A) == b"working ... ok\n"


def test_who_has_been_silent_is_not_waited_for() -> None:
    paper = Paper()
    order = LineOrder(paper, PATIENCE, 0.0)
    say(order, 1.0, A, b"password: ")
    say(order, 9.0, B, b"warning\n")
    assert (paper.text, order.due_at) == (b"password: \nwarning\n", None)


def test_who_goes_on_and_on_is_waited_for_no_longer_either() -> None:
    paper = Paper()
    order = LineOrder(paper, PATIENCE, 0.0)
    for tick in range(20):
        say(order, tick / 10, A, b"%d\r" % tick)
        if tick == 3:
            say(order, tick / 10, B, b"warning\n")
    assert paper.text.index(b"\nwarning\n") < len(paper.text) / 2


def test_several_prompts_are_all_there_within_patience() -> None:
    paper = Paper()
    order = LineOrder(paper, PATIENCE, 0.0)
    for source in (A, B, C):
        say(order, 1.0, source, b"> ")
    assert order.due_at is not None
    order.let_in(order.due_at)
    assert [text.strip(b"\n") for _, text in paper.lines()] == [b"> "] * 3


def test_too_much_is_not_kept_waiting() -> None:
    paper = Paper()
    order = LineOrder(paper, PATIENCE, 0.0)
    say(order, 1.0, A, b"half")
    for _ in range(10):
        say(order, 1.0, B, b"x" * 65535 + b"\n")
    assert len(paper.of(B)) >= 256 * 1024


def test_the_end_leaves_nothing_behind() -> None:
    paper = Paper()
    order = LineOrder(paper, PATIENCE, 0.0)
    for source in (A, B, C):
        say(order, 1.0, source, b"half")
    order.finish()
    assert [text.strip(b"\n") for _, text in paper.lines()] == [b"half"] * 3
    assert order.due_at is None


STEPS = st.lists(
    st.tuples(
        st.sampled_from([A, B, C]),
        st.text("ab\n", min_size=0, max_size=6).map(str.encode),
        st.sampled_from([0.0, 0.01, 0.3, 1.0]),
    ),
    max_size=40,
)


@given(STEPS)
def test_nothing_is_lost_and_no_line_has_two_sources(steps: list[tuple[Source, bytes, float]]) -> None:
    paper, said, now = Paper(), defaultdict[Source, bytes](bytes), 0.0
    order = LineOrder(paper, PATIENCE, 0.0)
    for source, data, pause in steps:
        if order.due_at is not None and order.due_at <= now + pause:
            order.let_in(order.due_at)
        now += pause
        if data:
            say(order, now, source, data)
        said[source] += data
        assert all(whole.startswith(paper.of(each)) for each, whole in said.items())
    order.finish()
    assert {source: paper.of(source) for source in said} == said
    paper.lines()


@given(STEPS)
def test_without_pauses_every_whole_line_stays_whole(steps: list[tuple[Source, bytes, float]]) -> None:
    paper, said = Paper(), defaultdict[Source, bytes](bytes)
    order = LineOrder(paper, PATIENCE, 0.0)
    for source, data, _ in steps:
        if data:
            say(order, 0.0, source, data)
        said[source] += data
    order.finish()
    for source, whole in said.items():
        assert [text for who, text in paper.lines() if who == source and text.endswith(b"\n")][
            : whole.count(b"\n")
        ] == [line for line in whole.splitlines(keepends=True) if line.endswith(b"\n")]
