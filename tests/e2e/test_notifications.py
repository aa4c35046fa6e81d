"""A nightly job fails and works again: real mail, a real chat's webhook, and a server that is killed between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.hosted import HostedJob
from tests.support.mail_server import Postbox, mail_server
from tests.support.receiver import receiver
from tests.support.server import JobyardServer, jobyard_server

FAILS = "echo counting; echo 'no space left' >&2; exit 3\n"
WORKS = "echo counted\n"
ON = ["first_failure", "recovery"]


@pytest.fixture(scope="module")
def postbox() -> Iterator[Postbox]:
    with mail_server() as postbox:
        yield postbox


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, postbox: Postbox) -> Iterator[JobyardServer]:
    data = tmp_path_factory.mktemp("telling") / "data"
    settings = {
        "engine": "process",
        "smtp_url": f"smtp://127.0.0.1:{postbox.port}?from=jobyard@example.com",
        "public_url": "https://ci.example.com",
        "egress": "internet,private,host",
    }
    with jobyard_server(data, **settings) as server:
        yield server


def test_a_nightly_job_tells_its_first_failure_and_its_recovery_once(
    server: JobyardServer, host: Callable[[JobyardServer], HostedJob], postbox: Postbox
) -> None:
    job = host(server)
    job.job(kind="cron", schedule={"cron": "0 3 * * *"})
    with receiver(200) as (address, got):
        targets = "/projects/acme/notification-targets"
        server.api("POST", targets, {"name": "chat", "kind": "slack", "address": address, "on": ON})
        mail = {"name": "mail", "kind": "email", "address": "ops@example.com", "on": ON}
        server.api("POST", targets, mail)

        def sent() -> dict[str, list[Any]]:
            """Once all of them are recorded as sent, which comes after they arrived."""
            found = {name: server.items(f"{targets}/{name}/deliveries") for name in ("chat", "mail")}
            are_sent = all(each["status"] == "sent" for every in found.values() for each in every)
            return found if are_sent else {}

        failed = job.ran(job.push({"run.sh": FAILS}))
        assert failed["status"] == "failed"
        server.wait_for("both are told", lambda: got and postbox.got and sent())
        server.kill()
        server.start()
        assert job.ran(job.push({"run.sh": FAILS}))["status"] == "failed"
        assert job.ran(job.push({"run.sh": WORKS}))["status"] == "succeeded"
        server.wait_for("both are told again", lambda: len(got) > 1 and len(postbox.got) > 1)
        recorded = server.wait_for("both are recorded", sent)
    subjects = [f"[acme] {job.name} works again", f"[acme] {job.name} failed"]
    assert {name: [each["subject"] for each in found] for name, found in recorded.items()} == {
        "chat": subjects,
        "mail": subjects,
    }
    texts: list[str] = [body["text"] for _, body, _ in got]
    first, second = postbox.got
    link = f"https://ci.example.com/runs/{failed['id']}"
    for said in (texts[0], text_of(first)):
        assert "Exited with code 3." in said
        assert link in said
        assert said.index("counting") < said.index("no space left")
    assert [first["Subject"], second["Subject"]] == subjects[::-1]
    assert "counted" in text_of(second)
    assert len({each["Message-ID"] for each in postbox.got}) == 2


def text_of(mail: Any) -> str:
    content = mail.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content.decode()


def test_an_address_where_nobody_listens_is_said(server: JobyardServer) -> None:
    targets = "/projects/gone/notification-targets"
    server.api("POST", "/projects", {"name": "gone"})
    nowhere = {"name": "chat", "kind": "slack", "address": "http://127.0.0.1:9/x", "on": ["end"]}
    server.api("POST", targets, nowhere)
    made = server.api("POST", f"{targets}/chat/test")
    assert made["status"] == "waiting"

    def said() -> str:
        return str(server.items(f"{targets}/chat/deliveries")[0]["said"])

    assert server.wait_for("what came of it", said) == "The address can't be reached: no connection."
