"""Images in a registry go by the same rules as on the engine, where the registry lets them."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError

import pytest

from app.commands.registry_retention import RegistryRetention
from app.domain.job.records import Job
from app.domain.references import Ours
from app.registry import RegistryUnavailable, Removal, remove_manifest
from app.secrets import SecretBox, first_ring
from app.store.database import Database
from tests.support.clock import Clock
from tests.support.databases import empty_sqlite, quick_sqlite
from tests.support.past import OURS, Writer, deploy
from tests.support.registry import MANIFEST, PASSWORD, USER, registry
from tests.support.stored import NOW, add_job

DIGEST = "sha256:" + "d" * 64
LOGIN = ("ada", "secret")


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    (tmp_path / "jobyard.db").write_bytes(empty_sqlite())
    db = quick_sqlite(tmp_path / "jobyard.db")
    yield db
    db.close()


@pytest.fixture
def job(db: Database) -> Job:
    return add_job(db)


class Answers(BaseHTTPRequestHandler):
    """A registry that answers as the test says; with `token`, only those who bring one that its own service gave."""

    status, token = 202, ""
    asked: list[str]

    def do_DELETE(self) -> None:
        self.asked.append(f"{self.command} {self.path} {self.headers.get('Authorization', '')}".strip())
        if self.token and self.headers.get("Authorization") != f"Bearer {self.token}":
            realm = f'Bearer realm="http://{self.headers["Host"]}/token",service="here",scope="all"'
            self._answer(401, challenge=realm)
        else:
            self._answer(self.status)

    def do_GET(self) -> None:
        self.asked.append(f"{self.command} {self.path} {self.headers.get('Authorization', '')}".strip())
        self._answer(200, json.dumps({"token": self.token}).encode())

    def _answer(self, status: int, body: bytes = b"", challenge: str = "") -> None:
        self.send_response(status)
        if challenge:
            self.send_header("WWW-Authenticate", challenge)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def answering(status: int = 202, token: str = "") -> Iterator[tuple[str, list[str]]]:
    """The host of a registry, and what it was asked."""
    asked: list[str] = []
    handler = type("Here", (Answers,), {"status": status, "token": token, "asked": asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "removal"),
    [
        (202, Removal.GONE),
        (200, Removal.GONE),
        (404, Removal.GONE),
        (401, Removal.REFUSED),
        (403, Removal.REFUSED),
        (405, Removal.REFUSED),
    ],
)
def test_what_the_answers_of_a_registry_mean(status: int, removal: Removal) -> None:
    with answering(status) as (host, asked):
        assert remove_manifest(f"{host}/team/report@{DIGEST}", LOGIN) is removal
    assert asked == [f"DELETE /v2/team/report/manifests/{DIGEST}"]


def test_a_registry_that_fails_is_asked_later() -> None:
    with answering(500) as (host, _), pytest.raises(RegistryUnavailable) as raised:
        remove_manifest(f"{host}/team/report@{DIGEST}", None)
    assert str(raised.value) == f"The registry {host} answered with status 500."
    with pytest.raises(RegistryUnavailable) as raised:
        remove_manifest(f"{host}/team/report@{DIGEST}", None)
    assert str(raised.value) == f"The registry {host} gives no answer (ConnectError)."


def test_a_token_is_fetched_where_the_registry_says() -> None:
    with answering(token="given") as (host, asked):
        assert remove_manifest(f"{host}/team/report@{DIGEST}", LOGIN) is Removal.GONE
    assert asked[1] == "GET /token?service=here&scope=all Basic YWRhOnNlY3JldA=="
    assert asked[2].endswith("Bearer given")


def pushed(host: str, name: str, content: bytes) -> str:
    """An image of no layers in a real registry; returns its digest."""
    config = (
        b'{"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}' + content
    )
    digest = "sha256:" + hashlib.sha256(config).hexdigest()
    manager = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    manager.add_password(None, f"http://{host}", USER, PASSWORD)
    opener = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(manager))
    with opener.open(
        urllib.request.Request(f"http://{host}/v2/{name}/blobs/uploads/", b"", method="POST")
    ) as begun:
        place = begun.headers["Location"]
    upload = urllib.request.Request(f"{place}&digest={digest}", config, method="PUT")
    upload.add_header("Content-Type", "application/octet-stream")
    opener.open(upload).close()
    kind = "application/vnd.docker.container.image.v1+json"
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": kind, "size": len(config), "digest": digest},
        "layers": [],
    }
    put = urllib.request.Request(
        f"http://{host}/v2/{name}/manifests/latest", json.dumps(manifest).encode(), method="PUT"
    )
    put.add_header("Content-Type", MANIFEST)
    with opener.open(put) as made:
        return str(made.headers["Docker-Content-Digest"])


def test_a_real_registry_with_a_login_has_the_image_no_more(tmp_path: Path) -> None:
    with registry(tmp_path / "registry", with_login=True) as running:
        digest = pushed(running.host, "team/report", b" ")
        image = f"{running.host}/team/report@{digest}"
        assert running.digest("team/report", digest) == digest
        assert remove_manifest(image, None) is Removal.REFUSED
        assert remove_manifest(image, (USER, "wrong")) is Removal.REFUSED
        assert remove_manifest(image, (USER, PASSWORD)) is Removal.GONE
        assert remove_manifest(image, (USER, PASSWORD)) is Removal.GONE, "what is gone is no error"
        with pytest.raises(HTTPError, match="404"):
            running.digest("team/report", digest)


def keeper(db: Database, answer: Removal | Exception) -> tuple[RegistryRetention, list[str]]:
    asked: list[str] = []

    def remove(image: str, _login: object) -> Removal:
        asked.append(image)
        if isinstance(answer, Exception):
            raise answer
        return answer

    ours = Ours(OURS.repository, "registry.example.com/team")
    box = SecretBox(first_ring(b"a key of the tests, random enough"))
    return RegistryRetention(db, Clock(NOW), box, ours, remove), asked


def image(number: int) -> dict[str, str]:
    digest = f"sha256:{number:064d}"
    return {"image": f"registry.example.com/team/reports/report@{digest}", "digest": digest}


def built(db: Database, job: Job, count: int) -> list[int]:
    with db.write() as tx:
        writer = Writer(tx)
        return [writer.build(job, 5, key=f"build-{number}", **image(number)) for number in range(count)]


def test_what_nothing_needs_goes_once(db: Database, job: Job) -> None:
    ids = built(db, job, 14)
    with db.write() as tx:
        deploy(tx, job, ids[1])
        Writer(tx).run(job, 0, "queued", digest=image(2)["digest"])
    retention, asked = keeper(db, Removal.GONE)
    assert retention.step(lambda seconds: None) == 2
    assert asked == [image(0)["image"], image(3)["image"]]
    assert retention.step(lambda seconds: None) == 0


def test_a_refusal_is_said_once(db: Database, job: Job, caplog: pytest.LogCaptureFixture) -> None:
    built(db, job, 14)
    retention, asked = keeper(db, Removal.REFUSED)
    with caplog.at_level(logging.WARNING):
        assert [retention.step(lambda seconds: None) for _ in range(3)] == [0, 0, 0]
    assert len(asked) == 1
    assert caplog.text.count("see to its images by its own rules") == 1


def test_a_registry_that_is_away_is_asked_in_an_hour(db: Database, job: Job) -> None:
    built(db, job, 14)
    retention, asked = keeper(db, RegistryUnavailable("The registry gives no answer."))
    assert retention.step(lambda seconds: None) == 0
    again = replace(retention)
    assert again.step(lambda seconds: None) == 0
    assert asked == [image(0)["image"]] * 2
