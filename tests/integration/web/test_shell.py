"""Shells over WebSockets: who may open one, what goes to and fro, what ends it, and what the audit log tells."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient, WebSocketDenialResponse, WebSocketTestSession

from app.commands.sessions import Client, log_out, open_session
from app.commands.shells import Shells, Target
from app.domain.audit import Actor, Kind
from app.domain.principals import RIGHTS_OF, Right, Role
from app.engines.fake import Script
from app.engines.fake.shell import FakeShell
from app.runtime.threads import start_in_thread
from app.store import audit, projects, runs, users
from app.store.audit import Wanted
from app.store.claims import register_server
from app.web.api.operations import PREFIX
from app.web.app import create_app
from app.web.principal import COOKIE
from app.web.shell import PATH, shell_routes
from app.web.shell.talk import WINDOW
from tests.support.api import Caller
from tests.support.background import InBackground, stop_what_has_to_end
from tests.support.clock import Clock
from tests.support.installation import Installation
from tests.support.loops import Server
from tests.support.one_of_each import user
from tests.support.server_context import ADMIN_TOKEN
from tests.support.waiting import eventually

OURS = {"Sec-Fetch-Site": "same-origin"}
KEY = "run-1-1-0"
SHELL = f"{PREFIX}/runs/1/attempts/1/shell"
BEARER = {"Authorization": f"Bearer {ADMIN_TOKEN}"}


class Place:
    """An installation where run 1 of two instances is running, and a project beside it."""

    def __init__(self, root: Path) -> None:
        self.made = Installation.bare(root, clock=Clock())
        self.made.engine.script("*", Script(exit_code=None))
        admin = Caller(self.made.web)
        for name in ("acme", "beside"):
            admin.made("/projects", {"name": name})
        source = {"type": "image", "image": "busybox"}
        admin.made("/projects/acme/jobs", {"name": "report", "source": source, "instances": 2})
        admin.made("/projects/acme/jobs/report/runs")
        self.server: Server = self.made.server("one")
        self.run = InBackground(self.server.runner.step)
        eventually(lambda: len(self.made.engine.running()) == 2)
        eventually(lambda: all(each["started_at"] for each in self.containers(admin)))
        self.app = create_app(self.made.web, nullcontext)

    def containers(self, admin: Caller) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = admin.got("/runs/1/attempts")["items"][0]["containers"]
        return found

    def close(self) -> None:
        for key in self.made.engine.running():
            self.made.engine.finish(key)
        self.run.join()
        self.made.close()

    def session(self, role: Role, project: str | None = None) -> str:
        context = self.made.web
        with context.db.write() as tx:
            project_id = None if project is None else projects.named(tx, project).id
            name = f"{role}-{project}"
            somebody = users.named(tx, name) or user(tx, context, name, role, project_id)
            now = context.clock.now()
            return open_session(tx, now, context.desk.limits, Client("192.0.2.1"), user_id=somebody.id)

    def browser(self, session: str, **headers: str) -> TestClient:
        client = TestClient(self.app, headers=headers or OURS)
        client.cookies.set(COOKIE, session)
        return client

    @contextmanager
    def opened(self, query: str = "") -> Iterator[WebSocketTestSession]:
        """A shell of an administrator's token."""
        with TestClient(self.app).websocket_connect(SHELL + query, headers=BEARER) as socket:
            assert "opened" in socket.receive_json()
            yield socket

    def shell(self, key: str = KEY) -> FakeShell:
        return self.made.engine.shells(key)[-1]

    def audited(self) -> list[tuple[str, str, str, str]]:
        """(who, action, outcome, detail) of what shells left, oldest first."""
        with self.made.db.read() as tx:
            found = audit.page(tx, Wanted(action="run"), 50)
        return [
            (each.actor.name, str(each.action), str(each.outcome), each.detail)
            for each in reversed(found)
            if "shell" in each.action
        ]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path / "place")
    yield place
    place.close()


def refusal(client: TestClient, path: str = SHELL, **headers: str) -> tuple[int, str]:
    """How the request for a shell is answered that isn't let in."""
    with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect(path, headers=headers):
        pass
    return refused.value.status_code, refused.value.json()["detail"]


def last_words(socket: WebSocketTestSession) -> str:
    """Why the shell has ended; what it shows until then is left out."""
    while True:
        message = socket.receive()
        if text := message.get("text"):
            ended: str = json.loads(text)["ended"]
            assert socket.receive()["type"] == "websocket.close"
            return ended


class TestWhoMay:
    def test_every_socket_is_named_here(self) -> None:
        assert [each.path for each in shell_routes()] == [PREFIX + PATH]

    @pytest.mark.parametrize("role", Role)
    @pytest.mark.parametrize("project", [None, "acme", "beside"])
    def test_each_role_in_each_project(self, place: Place, role: Role, project: str | None) -> None:
        client = place.browser(place.session(role, project))
        if Right.SHELL not in RIGHTS_OF[role]:
            status, sentence = refusal(client)
            assert (status, "This needs the role admin" in sentence) == (403, True)
        elif project == "beside":
            assert refusal(client) == (404, "There is no run 1, or not for you.")
        else:
            with client.websocket_connect(SHELL) as socket:
                assert socket.receive_json() == {"opened": "jy-run-1-1-0-t1", "idle_minutes": 15}

    @pytest.mark.parametrize("scope", ["read", "run", "deploy", "admin"])
    def test_each_scope_of_a_token(self, place: Place, scope: str) -> None:
        token = Caller(place.made.web).made("/tokens", {"name": scope, "scopes": [scope]})["token"]
        client = TestClient(place.app, headers={"Authorization": f"Bearer {token}"})
        if scope == "admin":
            with client.websocket_connect(SHELL) as socket:
                assert "opened" in socket.receive_json()
        else:
            assert refusal(client)[0] == 403

    def test_nobody_is_asked_for_a_token_by_the_header_alone(self, place: Place) -> None:
        client = TestClient(place.app)
        for path in (SHELL, f"{SHELL}?token={ADMIN_TOKEN}", f"{SHELL}?access_token={ADMIN_TOKEN}"):
            assert refusal(client, path) == (
                401,
                "This needs an API token: send Authorization: Bearer TOKEN.",
            )

    @pytest.mark.parametrize(
        "headers",
        [
            {"Sec-Fetch-Site": "cross-site", "Origin": "http://testserver"},
            {"Origin": "https://evil.example.com"},
            {"Origin": "null"},
        ],
    )
    def test_a_page_of_another_site_gets_none(self, place: Place, headers: dict[str, str]) -> None:
        client = place.browser(place.session(Role.ADMIN), **headers)
        status, sentence = refusal(client)
        assert (status, "another site" in sentence) == (403, True)
        assert place.made.engine.shells(KEY) == []
        assert place.audited()[0][1:3] == ("run.open_shell", "refused")

    def test_a_page_of_ours_does_by_its_origin_alone(self, place: Place) -> None:
        client = place.browser(place.session(Role.ADMIN), Origin="http://testserver")
        with client.websocket_connect(SHELL) as socket:
            assert "opened" in socket.receive_json()

    def test_the_refused_are_in_the_audit_log(self, place: Place) -> None:
        refusal(place.browser(place.session(Role.OPERATOR)))
        place.made.web.desk.refusals.flush(place.made.db, place.made.clock.now())
        assert [each[:3] for each in place.audited()] == [("operator-None", "run.open_shell", "refused")]


class TestWhich:
    @pytest.mark.parametrize(
        ("path", "status", "sentence"),
        [
            ("/runs/9/attempts/1/shell", 404, "There is no run 9, or not for this token."),
            ("/runs/1/attempts/x/shell", 422, "n must be a number from 1 to 1000000."),
            ("/runs/1/attempts/1/shell?instance=-1", 422, "instance must be a number from 0 to 99."),
            ("/runs/1/attempts/1/shell?columns=0", 422, "columns must be a number from 1 to 1000."),
            ("/runs/1/attempts/1/shell?rows=1e3", 422, "rows must be a number from 1 to 1000."),
        ],
    )
    def test_what_can_not_be_is_answered(self, place: Place, path: str, status: int, sentence: str) -> None:
        assert refusal(TestClient(place.app, headers=BEARER), PREFIX + path) == (status, sentence)

    @pytest.mark.parametrize(
        ("path", "sentence"),
        [
            ("/runs/1/attempts/2/shell", "Run report-00001 has no attempt 2."),
            (
                "/runs/1/attempts/1/shell?instance=2",
                "Attempt 1 of run report-00001 has no instance 2: it has 2, counted from 0.",
            ),
        ],
    )
    def test_what_is_not_there_is_the_last_message(self, place: Place, path: str, sentence: str) -> None:
        with TestClient(place.app).websocket_connect(PREFIX + path, headers=BEARER) as socket:
            assert last_words(socket) == sentence

    def test_one_that_has_not_started_or_has_ended(self, place: Place) -> None:
        Caller(place.made.web).made("/projects/acme/jobs/report/runs")
        with TestClient(place.app).websocket_connect(
            SHELL.replace("/1/attempts", "/2/attempts"), headers=BEARER
        ) as socket:
            assert last_words(socket) == "Run report-00002 has no attempt 1."
        Caller(place.made.web).made("/runs/1/cancel")
        stop_what_has_to_end(place.server, place.run)
        with TestClient(place.app).websocket_connect(SHELL, headers=BEARER) as socket:
            assert last_words(socket) == (
                "Of run report-00001, attempt 1, instance 0 has ended: a shell needs a running container."
            )

    def test_one_that_the_engine_has_not_started_yet(self, place: Place) -> None:
        with place.made.db.write() as tx:
            tx.connection().exec_driver_sql("UPDATE container SET handle = NULL")
        with TestClient(place.app).websocket_connect(SHELL, headers=BEARER) as socket:
            assert last_words(socket) == (
                "Of run report-00001, attempt 1, instance 0 has not started yet: try again in a moment."
            )

    def test_an_image_without_a_shell(self, place: Place) -> None:
        container = place.made.world.containers[KEY]
        container.script = replace(container.script, has_shell=False)
        with TestClient(place.app).websocket_connect(SHELL, headers=BEARER) as socket:
            assert last_words(socket) == (
                "There is no /bin/sh in the image: no shell can be opened in this container."
            )
        assert place.audited() == []

    def test_an_engine_that_does_not_answer(self, place: Place) -> None:
        place.made.engine.unavailable(True)
        with TestClient(place.app).websocket_connect(SHELL, headers=BEARER) as socket:
            assert last_words(socket) == "The engine does not answer."
        place.made.engine.unavailable(False)

    def test_no_more_at_once_than_there_may_be(self, place: Place) -> None:
        third = TestClient(place.app).websocket_connect(SHELL, headers=BEARER)
        with place.opened(), place.opened("?instance=1"), third as refused:
            assert last_words(refused) == (
                "2 shells are open on this server, as many as JOBYARD_SHELLS allows: close one first."
            )
        eventually(lambda: not place.shell("run-1-1-1").is_open)
        with place.opened():
            pass

    def test_none_where_they_are_switched_off(self, place: Place) -> None:
        off = Shells(place.made.db, place.made.engine, "one", most=0, idle_minutes=15)
        app = create_app(replace(place.made.web, shells=off), nullcontext)
        with TestClient(app).websocket_connect(SHELL, headers=BEARER) as socket:
            assert last_words(socket) == "Shells are switched off on this server: JOBYARD_SHELLS is 0."


class TestToAndFro:
    def test_bytes_go_through_as_they_are(self, place: Place) -> None:
        every_byte = bytes(range(256))
        with place.opened("?instance=1&columns=100&rows=30") as socket:
            socket.send_bytes(every_byte)
            assert socket.receive_bytes() == every_byte
            shell = place.shell("run-1-1-1")
            assert (shell.typed, shell.size) == (every_byte, (100, 30))
            socket.send_json({"columns": 120, "rows": 40})
            eventually(lambda: shell.size == (120, 40))

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "ls",
            "[]",
            '{"columns": 80}',
            '{"columns": 0, "rows": 2}',
            '{"columns": "8", "rows": 2}',
            '{"taken": null}',
        ],
    )
    def test_other_texts_end_it(self, place: Place, text: str) -> None:
        with place.opened() as socket:
            socket.send_text(text)
            assert last_words(socket) == (
                'A text must be {"columns": 1 to 1000, "rows": 1 to 1000} or {"taken": BYTES};'
                " what is typed comes as binary messages."
            )

    def test_what_the_browser_does_not_take_stays_where_it_is(self, place: Place) -> None:
        """Of an endless output no more is read than is sent."""
        with place.opened() as socket:
            shell = place.shell()
            shell.say(b"y\n" * (1 << 20))
            received = sum(len(socket.receive_bytes()) for _ in range(WINDOW >> 16))
            assert received == WINDOW
            with place.opened(
                "?instance=1"
            ) as other:  # whose answer would come later than more of this one's
                other.send_bytes(b"a")
                other.receive_bytes()
            assert len(shell.unread) == (2 << 20) - WINDOW
            socket.send_json({"taken": 1 << 16})
            assert len(socket.receive_bytes()) == 1 << 16
            eventually(lambda: len(shell.unread) == (2 << 20) - WINDOW - (1 << 16))


ENDS: dict[str, tuple[Callable[[Place, WebSocketTestSession], object], str]] = {
    "exit": (lambda _, socket: socket.send_bytes(b"exit\n"), "The shell has ended."),
    "container": (
        lambda place, _: place.made.engine.finish(KEY, 0),
        "The container has ended, and the shell with it.",
    ),
}


class TestItsEnd:
    @pytest.mark.parametrize("how", ENDS)
    def test_it_says_why(self, place: Place, how: str) -> None:
        end, sentence = ENDS[how]
        with place.opened() as socket:
            end(place, socket)
            assert last_words(socket) == sentence
        assert not place.shell().is_open

    def test_with_the_run(self, place: Place) -> None:
        with place.opened() as socket:
            Caller(place.made.web).made("/runs/1/cancel")
            stop_what_has_to_end(place.server, place.run)
            place.made.signals.publish(frozenset({"run:1"}))
            assert last_words(socket) == "The container has ended, and the shell with it."

    def test_with_the_browser(self, place: Place) -> None:
        with place.opened() as socket:
            assert place.shell().is_open
            socket.close()
            eventually(lambda: len(place.audited()) == 2)
        assert not place.shell().is_open
        assert place.audited()[-1][3].endswith(" It was closed.")

    def test_with_the_session(self, place: Place) -> None:
        session = place.session(Role.ADMIN)
        with place.browser(session).websocket_connect(SHELL) as socket:
            assert "opened" in socket.receive_json()
            log_out(place.made.db, session)
            place.made.clock.advance(6)
            place.made.signals.publish(frozenset({"run:1"}))
            assert last_words(socket) == (
                "You are logged out, or may not have a shell in this project any more."
            )

    def test_with_the_right(self, place: Place) -> None:
        session = place.session(Role.ADMIN, "acme")
        with place.browser(session).websocket_connect(SHELL) as socket:
            assert "opened" in socket.receive_json()
            Caller(place.made.web).made("/users/1/disable")
            place.made.clock.advance(6)
            place.made.signals.publish(frozenset({"run:1"}))
            assert "may not have a shell" in last_words(socket)

    def test_when_nobody_types(self, place: Place) -> None:
        with place.opened() as socket:
            place.made.clock.advance(timedelta(minutes=16).total_seconds())
            place.made.signals.publish(frozenset({"run:1"}))
            assert last_words(socket) == "Nothing was typed for 15 minutes."

    def test_a_server_that_takes_a_run_over_ends_what_a_killed_one_left(self, place: Place) -> None:
        place.made.engine.shell(place.made.engine.owned()[0].handle, 80, 24)
        left = place.shell()
        place.made.engine = type(place.made.engine)(place.made.clock.now, place.made.world)
        other = place.made.server("two")
        with place.made.db.write() as tx:
            tx.connection().exec_driver_sql("UPDATE run SET token = token + 1, owner = 'two'")
        with place.made.db.read() as tx:
            run = runs.with_id(tx, 1)
        following = start_in_thread("two", lambda: other.runner.execute(run))
        eventually(lambda: not left.is_open)
        place.made.engine.finish(KEY, 0)
        place.made.engine.finish("run-1-1-1", 0)
        following.result(20)


def test_the_audit_log_tells_who_where_and_for_how_long(place: Place) -> None:
    with place.browser(place.session(Role.ADMIN)).websocket_connect(SHELL) as socket:
        assert "opened" in socket.receive_json()
        socket.send_bytes(b"a secret that is typed\n")
        socket.receive_bytes()
        place.made.clock.advance(90)
        socket.send_bytes(b"exit\n")
        assert last_words(socket) == "The shell has ended."
    where = "In attempt 1, instance 0: container jy-run-1-1-0-t1."
    assert place.audited() == [
        ("admin-None", "run.open_shell", "done", where),
        ("admin-None", "run.close_shell", "done", f"{where} It was open for 90 s. The shell has ended."),
    ]
    with place.made.db.read() as tx:
        entry = audit.page(tx, Wanted(action="run.open_shell"), 1)[0]
    assert (entry.subject.name, entry.subject.project, entry.actor.address) == (
        "report-00001",
        "acme",
        "testclient",
    )
    assert entry.request_id


def test_the_end_of_one_on_a_server_that_was_killed_is_told_by_the_next(place: Place) -> None:
    with place.made.db.write() as tx:
        register_server(tx, "killed", "here", 1, place.made.clock.now())
    with place.made.db.read() as tx:
        target = Target(runs.with_id(tx, 1), 1, 0)
    shells = Shells(place.made.db, place.made.engine, "killed", most=2, idle_minutes=15)
    ended, _left = (
        shells.open(target, (80, 24), Actor(name, Kind.USER), place.made.clock.now(), "mine")
        for name in ("ada", "ben")
    )
    shells.close(ended, "It was closed.", place.made.clock.now())
    place.made.clock.advance(60)
    for _ in range(2):
        place.server.reconciler.step()
    where = "In attempt 1, instance 0: container jy-run-1-1-0-t1."
    assert place.audited()[2:] == [
        ("ada", "run.close_shell", "done", f"{where} It was open for 0 s. It was closed."),
        (
            "ben",
            "run.close_shell",
            "done",
            f"{where} The server that it was open on has died, and told nobody when the shell ended.",
        ),
    ]
