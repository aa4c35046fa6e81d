"""Several streams as one: each as it would be by itself, and none that its visitor may not follow."""

from __future__ import annotations

from urllib.parse import urlencode

from app.commands.sessions import Client as Browser
from app.commands.sessions import open_session
from app.domain.principals import Role
from app.store import projects
from app.web.principal import COOKIE
from tests.support.one_of_each import user
from tests.support.seed import SUCCEEDED, World
from tests.support.sse import sse
from tests.support.visiting import NOW, read, visitor


def streams(**feeds: str) -> str:
    return f"/streams?{urlencode(feeds)}"


def test_each_says_what_it_would_by_itself_and_then_that_it_is_over(made: World) -> None:
    job = made.job("ended")
    one = made.run(job, NOW, log=b"one\ntwo\nthree", outcome=SUCCEEDED)
    other = made.run(job, NOW, log=b"four", outcome=SUCCEEDED)
    client = visitor(made)
    follow = {"a": f"/runs/{one}/follow?attempt=1&from=4:2", "b": f"/runs/{other}/follow?attempt=1&from=0:1"}
    together = sse(read(client, streams(**follow)))
    for key, address in follow.items():
        alone = sse(read(client, address))
        mine = [
            {**each, "event": each["event"][2:]} for each in together if each["event"].startswith(f"{key}:")
        ]
        assert mine[:-1] == alone
        assert mine[-1]["event"] == "over"
    assert len(together) == 6


def test_what_is_not_there_or_no_stream_is_over_at_once(made: World) -> None:
    run = made.run(made.job("ended"), NOW, log=b"one", outcome=SUCCEEDED)
    asked = {
        "nowhere": "/runs/none/follow?attempt=1&from=0:1",
        "page": f"/runs/{run}",
        "api": f"/api/v1/runs/{run}/logs",
        "itself": streams(a="/live?topics=jobs"),
        "other": "https://example.com/live?topics=jobs",
        "nonsense": f"/runs/{run}/follow?attempt=x",
    }
    said = sse(read(visitor(made), streams(**asked)))
    assert {each["event"] for each in said} == {f"{key}:over" for key in asked}


def test_a_role_in_one_project_follows_nothing_of_another(made: World) -> None:
    theirs = made.run(made.job("mine", project="beside"), NOW, log=b"one", outcome=SUCCEEDED)
    others = made.run(made.job("secret"), NOW, log=b"one", outcome=SUCCEEDED)
    with made.db.write() as tx:
        somebody = user(tx, made.context, "bea", Role.VIEWER, projects.named(tx, "beside").id)
        session = open_session(tx, NOW, made.context.desk.limits, Browser("192.0.2.1"), user_id=somebody.id)
    client = visitor(made, None)
    client.cookies.set(COOKIE, session)
    query = "follow?attempt=1&from=0:1"
    said = sse(read(client, streams(a=f"/runs/{theirs}/{query}", b=f"/runs/{others}/{query}")))
    assert [each["event"] for each in said if each["event"].startswith("b:")] == ["b:over"]
    assert [each["event"] for each in said if each["event"].startswith("a:")] == [
        "a:lines",
        "a:end",
        "a:over",
    ]


def test_a_last_event_of_somebody_else_moves_none(made: World) -> None:
    run = made.run(made.job("ended"), NOW, log=b"one\ntwo", outcome=SUCCEEDED)
    address = streams(a=f"/runs/{run}/follow?attempt=1&from=0:1")
    answer = visitor(made).get(address, headers={"Last-Event-ID": "4:2"})
    assert [each["event"] for each in sse(answer.text)] == ["a:lines", "a:end", "a:over"]


def test_nobody_is_led_to_the_log_in(made: World) -> None:
    assert visitor(made, None).get(streams(a="/live?topics=jobs")).status_code == 303
