"""The pages of notification targets: made, tried, changed and deleted; the address only goes in."""

from __future__ import annotations

import re

from tests.support.seed import World
from tests.support.visiting import visitor

PATH, NEW = "/projects/acme/notifications", "/projects/acme/new/notification-target"


def test_nobody_is_told_until_a_common_choice_is_pressed(made: World) -> None:
    made.job("report", project="acme")
    client = visitor(made)
    page = client.get(PATH).text
    assert "Nobody is told when something fails here." in page
    (link,) = re.findall(r'href="([^"]+)"[^>]*>Mail on first failure and recovery', page)
    form = client.get(link.replace("&amp;", "&")).text
    for rule in ("first_failure", "recovery"):
        assert re.search(rf'value="{rule}" checked', form)
    assert not re.search(r'value="failure" checked', form)
    given = {
        "name": "mail",
        "kind": "email",
        "address": "ops@example.com",
        "on": ["first_failure", "recovery"],
    }
    answer = client.post(NEW, data=given)
    assert answer.headers["location"] == f"{PATH}/mail?saved=1"
    page = client.get(f"{PATH}/mail?saved=1").text
    assert "ops@example.com" not in page
    assert "It is told of what happens from now on." in page
    assert "No mail is sent: JOBYARD_SMTP_URL is not set on this server." in page


def test_what_is_wrong_stands_at_its_field(made: World) -> None:
    made.job("report", project="acme")
    client = visitor(made)
    answer = client.post(NEW, data={"name": "chat", "kind": "slack", "address": "nowhere", "on": "failure"})
    assert answer.status_code == 422
    assert "address must be the address of an incoming webhook" in answer.text
    assert 'value="nowhere"' not in answer.text
    answer = client.post(NEW, data={"name": "chat", "kind": "slack", "address": "https://chat.example.com/x"})
    assert "on must name at least one rule, such as failure." in answer.text


def test_a_signing_secret_is_shown_once(made: World) -> None:
    made.job("report", project="acme")
    client = visitor(made)
    given = {"name": "hook", "kind": "webhook", "address": "https://example.com/x", "on": "end"}
    assert "whsec_" in client.post(NEW, data=given).text
    assert "whsec_" not in client.get(f"{PATH}/hook").text


def test_a_test_is_listed_and_a_target_deleted(made: World) -> None:
    made.job("report", project="acme")
    client = visitor(made)
    given = {"name": "chat", "kind": "slack", "address": "https://chat.example.com/x", "on": "failure"}
    client.post(NEW, data=given)
    assert client.post(f"{PATH}/chat/test").headers["location"] == f"{PATH}/chat#sent"
    page = client.get(f"{PATH}/chat").text
    assert "[acme] A test of chat" in page
    assert "Waits to be sent." in page
    saved = client.post(f"{PATH}/chat", data={"on": ["recovery", "failure"], "absence_hours": ""})
    assert saved.headers["location"] == f"{PATH}/chat?saved=1"
    assert "each failed run, the next run that succeeds" in client.get(PATH).text
    assert client.post(f"{PATH}/chat/delete", data={"confirm": "chatt"}).status_code == 422
    assert client.post(f"{PATH}/chat/delete", data={"confirm": "chat"}).headers["location"] == PATH
    assert "Nobody is told" in client.get(PATH).text


def test_pages_of_jobs_and_projects_say_who_is_told(made: World) -> None:
    made.job("report", project="acme")
    client = visitor(made)
    assert "nobody yet" in client.get("/projects/acme/jobs/report").text
    client.post(
        NEW, data={"name": "check", "kind": "ping", "address": "https://hc-ping.com/x", "jobs": "report"}
    )
    assert f'href="{PATH}/check"' in client.get("/projects/acme/jobs/report").text
    assert f'href="{PATH}/check"' in client.get("/projects/acme").text
    assert "each begin and end of a run" in client.get(PATH).text
