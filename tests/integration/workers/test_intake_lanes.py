"""Nobody waits for another's Git server, and a delivery settles only what its own secret verified."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.crashes import GIVEN_UP_AFTER
from app.domain.errors import GitUnavailable
from app.domain.lanes import lane_of, next_in_line, owner_of
from app.store import projects
from app.workers import intake as intake_module
from tests.support.fakes import commit
from tests.support.installation import Installation
from tests.support.loops import Server
from tests.support.mortal import Fuse, Killed

A, B, C, D = (commit(letter) for letter in "abcd")
DEAD = "https://dead.example.com/acme/report.git"
DEAD_KEY = "dead.example.com/acme/report"
RULES = {"build__paths": ["docs/"]}


class Beside:
    """Pieces of work that are begun and not done until a test says so, as by threads that wait for Git."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, Callable[[], None]]] = []

    def __call__(self, name: str, work: Callable[[], None]) -> None:
        self.begun.append((name, work))

    def finish(self) -> None:
        while self.begun:
            self.begun.pop(0)[1]()


def waiting_server(
    place: Installation, name: str = "one", *, alone: bool = True, **intake: int
) -> tuple[Server, Beside]:
    """A server that waits for every answer of Git; further fields are those of its `Intake`."""
    server, beside = place.server(name, alone=alone), Beside()
    for field, value in {**intake, "in_background": beside}.items():
        object.__setattr__(server.intake, field, value)
    server.reconcile()
    return server, beside


def crank(server: Server) -> None:
    while server.intake.step():
        pass


def sources_of_secrets(place: Installation, *names: str) -> list[str]:
    """Jobs of the same repository, each with a secret of its own; what their deliveries are verified by."""
    jobs = [place.job(name) for name in names]
    return [f"source:{job.source.id}" for job in jobs if job.source]


# lanes


def test_a_git_server_that_does_not_answer_holds_nobody_else_back(place: Installation) -> None:
    place.job("dead", source__url=DEAD, source__repo_key=DEAD_KEY, **RULES)
    place.job("sound")
    server, beside = waiting_server(place)
    first = place.push(A, B, url=DEAD, forced=True, guid="dead-1")
    second = place.push(B, C, url=DEAD, guid="dead-2")
    other = place.push(A, B, guid="other")
    crank(server)
    assert len(beside.begun) == 1
    assert [place.delivery(guid).status for guid in (first, second, other)] == [
        "received", "received", "processed",
    ]  # fmt: skip
    beside.finish()
    crank(server)
    beside.finish()
    assert [decision.event_id for decision in place.decisions()] == [other, first, second]


def test_many_dead_repositories_leave_places_for_others(place: Installation) -> None:
    for number in range(9):
        url = f"https://dead-{number}.example.com/a/b.git"
        place.job(f"dead-{number}", source__url=url, source__repo_key=url[8:-4], **RULES)
        place.push(A, B, url=url, forced=True, guid=f"dead-{number}")
    with place.db.write() as tx:
        beside_it = projects.create(tx, "beside", None, place.clock.now())
    place.job("asks", project_id=beside_it.id, **RULES)
    place.job("plain")
    server, beside = waiting_server(place, places=5, places_per_project=4)
    asks = place.push(A, B, guid="asks", scopes=[f"project:{beside_it.id}"])
    plain = place.push(A, B, guid="plain")
    crank(server)
    assert place.delivery(plain).status == "processed"  # nothing of it needs Git
    assert len(beside.begun) == 5
    beside.begun.pop()[1]()  # the last one that began is the other project's
    assert place.delivery(asks).status == "processed"
    while beside.begun:
        beside.finish()
        crank(server)
    assert {place.delivery(f"dead-{number}").status for number in range(9)} == {"processed"}


def test_one_repository_of_a_dead_server_is_waited_for_once(place: Installation) -> None:
    for name in ("one", "two", "three"):
        place.job(name, **RULES)
    place.repository.faults = [GitUnavailable("No answer.")]
    place.push(A, B)
    server = place.server("one")
    crank(server)
    assert place.repository.fetched[B] == 0
    assert len(place.repository.credentials) == 1
    sentences = {decision.sentence.partition(". ")[2] for decision in place.decisions()}
    assert sentences == {"Git could not say which files it changes, so it builds: No answer."}


def test_a_delivery_that_is_tried_again_holds_back_its_own_lane_until_it_is_given_up(
    place: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.job("report")
    place.job("other", source__url=DEAD, source__repo_key=DEAD_KEY)
    first, second = place.push(A, B, guid="first"), place.push(B, C, guid="second")
    other = place.push(A, B, url="https://github.com/acme/nobody.git", guid="other")
    server = place.server("one")
    fails = [RuntimeError("a fault of ours")] * 3
    really = intake_module.deploy_push

    def deploy_push(*args: object) -> object:
        if fails:
            raise fails.pop()
        return really(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(intake_module, "deploy_push", deploy_push)
    crank(server)
    assert (place.delivery(first).status, place.delivery(second).status) == ("received", "received")
    assert place.delivery(other).status == "ignored"
    for _ in range(2):
        place.clock.advance(60)
        crank(server)
    assert (place.delivery(first).status, place.delivery(first).tries) == ("failed", 3)
    assert place.delivery(second).status == "processed"


def test_two_servers_share_lanes_and_do_nothing_twice(place: Installation) -> None:
    place.job("dead", source__url=DEAD, source__repo_key=DEAD_KEY, **RULES)
    place.job("report")
    one, beside = waiting_server(place, "one", alone=False)
    two, beside_two = waiting_server(place, "two", alone=False)
    place.push(A, B, url=DEAD, forced=True, guid="dead-1")
    place.push(B, C, url=DEAD, guid="dead-2")
    crank(one)
    crank(two)
    assert (len(beside.begun), len(beside_two.begun)) == (1, 0)
    place.push(A, B, guid="other")
    crank(two)
    assert place.delivery("other").status == "processed"
    beside.finish()
    crank(two)
    beside_two.finish()
    assert [decision.event_id for decision in place.decisions()] == ["other", "dead-1", "dead-2"]


# servers that die, and servers that stop


def kills(place: Installation, name: str) -> None:
    """A server that dies as it asks Git."""
    fuse = Fuse()
    server = place.server(name, fuse)
    server.reconcile()
    place.clock.advance(600)  # whatever it is held back for
    place.repository.faults.append(Killed())  # type: ignore[arg-type]
    with pytest.raises(Killed):
        crank(server)


def test_a_delivery_that_kills_the_server_is_given_up(place: Installation) -> None:
    place.job("report", **RULES)
    guid = place.push(A, B, forced=True, guid="killer")
    later = place.push(B, C, guid="later")
    for number in range(GIVEN_UP_AFTER):
        kills(place, f"server-{number}")
    server = place.server("last")
    server.reconcile()
    crank(server)
    delivery = place.delivery(guid)
    assert delivery.status == "failed"
    assert delivery.sentence == (
        "Given up: 8 times the server was killed, or failed, while it processed this, although nothing else was under"
        " suspicion any more."
        " Replay the delivery to try it again."
    )
    assert place.delivery(later).status == "processed"


def test_stopping_a_server_in_good_order_is_no_try(place: Installation) -> None:
    place.job("report", **RULES)
    guid = place.push(A, B, forced=True)
    for number in range(5):
        server, beside = waiting_server(place, f"server-{number}")
        crank(server)
        assert (place.delivery(guid).tries, len(beside.begun)) == (1, 1)
        server.intake.release()
        beside.finish()  # what is heard of Git after that changes nothing
        assert (place.delivery(guid).status, place.delivery(guid).tries) == ("received", 0)
    crank(place.server("last"))
    assert place.delivery(guid).status == "processed"


def test_what_a_fault_of_the_store_let_go_of_is_taken_up_again(place: Installation) -> None:
    place.job("report", **RULES)
    guid = place.push(A, B, forced=True)
    server, beside = waiting_server(place)
    crank(server)
    beside.begun.clear()
    server.intake.claim_registry.claims.clear()  # as after an exception that nobody caught
    server.reconcile()
    crank(server)
    beside.finish()
    assert place.delivery(guid).status == "processed"


# one movement, several secrets


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_each_secret_settles_its_own_sources(place: Installation, order: tuple[int, ...]) -> None:
    """Two jobs of one project and one of another, each with a secret and a hook of its own."""
    with place.db.write() as tx:
        beside_it = projects.create(tx, "beside", None, place.clock.now())
    scopes = [*sources_of_secrets(place, "report", "again"), f"project:{beside_it.id}"]
    place.job("theirs", project_id=beside_it.id)
    server = place.server("one")
    for number in order:
        place.push(A, B, guid=f"hook-{number}", scopes=[scopes[number]])
    crank(server)
    assert {decision.verdict for decision in place.decisions()} == {"built"}
    assert len(place.decisions()) == 3
    assert len({build.project_id for build in place.builds()}) == len(place.builds()) == 2
    for number in order:
        place.push(A, B, guid=f"again-{number}", scopes=[scopes[number]])
    crank(server)
    assert [decision.verdict for decision in place.decisions()[3:]] == ["duplicate"] * 3
    server.work()
    assert sorted(run.job for run in place.runs()) == ["again", "report", "theirs"]


def test_a_secret_of_all_does_not_build_again_what_one_of_its_own_settled(place: Installation) -> None:
    own, _ = sources_of_secrets(place, "report", "again")
    place.push(A, B, guid="own", scopes=[own])
    place.push(A, B, guid="all")
    crank(place.server("one"))
    assert [(decision.job, decision.verdict) for decision in place.decisions()] == [
        ("report", "built"),
        ("report", "duplicate"),
        ("again", "built"),
    ]


def test_a_forged_push_of_another_project_is_nobody_elses(place: Installation) -> None:
    """It neither makes the genuine one a repeat nor takes its place among the branch's pushes."""
    with place.db.write() as tx:
        theirs = projects.create(tx, "theirs", None, place.clock.now())
    place.job("theirs", project_id=theirs.id)
    job = place.job("report")
    for number, (before, after) in enumerate(((A, B), (B, C), (C, A), (B, D))):
        place.push(before, after, guid=f"forged-{number}", scopes=[f"project:{theirs.id}"], forced=True)
    place.push(A, B, guid="genuine-1")
    place.push(B, C, guid="genuine-2")
    server = place.server("one")
    server.work()
    deployed = place.job_now(job).deployed
    assert deployed is not None
    assert deployed.sha == C
    assert {each.verdict for each in place.decisions() if each.event_id.startswith("genuine")} == {"built"}


def test_a_branch_that_goes_forth_and_back_and_forth_by_two_hooks(place: Installation) -> None:
    scopes = sources_of_secrets(place, "report", "again")
    steps = [(A, B), (B, A), (A, B)]
    for number, (before, after) in enumerate(steps):
        for scope in scopes:
            place.push(before, after, guid=f"{scope}-{number}", scopes=[scope], forced=True)
    crank(place.server("one"))
    assert {decision.verdict for decision in place.decisions()} == {"built"}
    assert len(place.decisions()) == 6


# who is next


@given(
    waiting=st.lists(st.integers(1, 4), max_size=12),
    busy=st.lists(st.integers(1, 4), max_size=6),
    places=st.integers(1, 6),
    share=st.integers(1, 4),
)
def test_who_has_fewest_places_is_next(waiting: list[int], busy: list[int], places: int, share: int) -> None:
    lines = [(id_, lane_of([(project, f"host/{id_}")])) for id_, project in enumerate(waiting)]
    at_work = [lane_of([(project, f"busy/{number}")]) for number, project in enumerate(busy)]
    chosen = next_in_line(lines, at_work, places=places, per_owner=share)
    may = [id_ for id_, project in enumerate(waiting) if busy.count(project) < share]
    if len(busy) >= places or not may:
        assert chosen is None
        return
    assert chosen is not None
    assert chosen in may
    assert all((busy.count(waiting[chosen]), chosen) <= (busy.count(waiting[id_]), id_) for id_ in may)


def test_a_lane_is_of_projects_and_repositories() -> None:
    assert lane_of([(2, "b"), (1, "a"), (2, "b")]) == "1:a 2:b"
    assert owner_of("12:github.com/acme/report") == "12"
    assert lane_of([]) == ""


def test_threads_settle_beside_one_another(place: Installation) -> None:
    """With threads as in production: two lanes wait for Git at the same time."""
    for number in range(2):
        url = f"https://slow-{number}.example.com/a/b.git"
        place.job(f"slow-{number}", source__url=url, source__repo_key=url[8:-4], **RULES)
        place.push(A, B, url=url, forced=True, guid=f"slow-{number}")
    both = threading.Barrier(2, timeout=10)
    server = place.server("one")
    really = place.repository.fetch

    def fetch(*args: object, **given: object) -> str:
        both.wait()  # ends only when both are here
        return really(*args, **given)  # type: ignore[arg-type]

    place.repository.fetch = fetch  # type: ignore[method-assign]
    threads: list[threading.Thread] = []

    def in_thread(name: str, work: Callable[[], None]) -> None:
        threads.append(threading.Thread(target=work, name=name))
        threads[-1].start()

    object.__setattr__(server.intake, "in_background", in_thread)
    crank(server)
    for thread in threads:
        thread.join(10)
    assert [place.delivery(f"slow-{number}").status for number in range(2)] == ["processed"] * 2
