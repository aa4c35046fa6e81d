"""The real server as a child process, spoken to as a forge and as a user would: over HTTP alone."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom
from typing import Any

import docker
import httpx2 as httpx

from app.engines.docker.request import INSTALLATION_LABEL
from app.engines.process import ProcessEngine
from app.store import facts
from app.store.database import Database
from tests.support.engine_harness import remove_container, utc_now
from tests.support.payloads import encode, push_headers, push_payload
from tests.support.project import ROOT
from tests.support.repositories import Repository

TOKEN = "an-admin-token-for-tests"
SECRET = "the webhook secret of acme"
UP_SECONDS, DOWN_SECONDS, WAIT_SECONDS = 60.0, 15.0, 90.0
Json = Any


class ApiError(AssertionError):
    """An answer other than 2xx, with its problem."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__(f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text}")
        self.status = answer.status_code
        self.problem: Json = answer.json()


@dataclass(frozen=True)
class Push:
    """A delivery as it was sent, and what it was answered."""

    delivery: str
    sha: str
    status: int
    body: Json


class JobyardServer:
    """`jobyard serve` on a free port with a data directory of its own. Further settings are keyword arguments:
    `docker_host="…"` is JOBYARD_DOCKER_HOST. The address stays the same when it is started again.
    """

    program = "app"  # the module that is run

    def __init__(self, data: Path, **settings: str) -> None:
        self.data = data
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.http = httpx.Client(base_url=self.url, timeout=20)
        self.settings = {
            "git_allow": "http,file",
            "admin_token": TOKEN,
            "data": str(data),
            "reconcile_minutes": "0",  # no Git but what a test is about
            "egress_bridge": "open",  # others build there meanwhile
            "build_cache_gb": "0",  # the cache is the whole machine's
            **settings,
        }
        self._log = data.with_name(f"{data.name}.log")
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)

    # --- the process

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """What the server has written to its standard output and error."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def start(self) -> None:
        """Start and wait until it answers."""
        self._begin()
        self.wait_for("the server answers", self._is_up, UP_SECONDS)

    def _begin(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self.program, "serve", "--port", str(self.port)],
                cwd=self._log.parent,
                env=self._environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def command(self, *arguments: str | Path) -> str:
        """What `jobyard` prints that is called on this server's machine, with its settings; it must succeed."""
        done = subprocess.run(
            [sys.executable, "-m", "app", *map(str, arguments)],
            cwd=self._log.parent,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=UP_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("JOBYARD_")}
        ours = {f"JOBYARD_{name.upper()}": value for name, value in self.settings.items()}
        return {**inherited, **ours, "PYTHONPATH": str(ROOT)}

    def _is_up(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "the server ended"
        with suppress(httpx.TransportError):
            return self.http.get("/healthz").status_code == 200
        return False

    def kill(self) -> None:
        """SIGKILL: no chance to tidy up."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> float:
        """SIGTERM; returns the seconds it took to exit, with status 0."""
        assert self._process is not None
        began = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        status = self._process.wait(DOWN_SECONDS + 5)
        assert status == 0, f"exit status {status}"
        return time.monotonic() - began

    def restart(self) -> None:
        self.stop()
        self.start()

    def close(self) -> None:
        """End the process however it is, and remove what it left in the engine."""
        if self._process is not None and self._process.poll() is None:
            self.kill()
        self.http.close()
        if self.settings.get("engine") == "process":
            self._remove_processes()
            return
        if "database_url" not in self.settings and not (self.data / "jobyard.db").exists():
            return
        with docker_client() as client:
            for container in self.containers(client):
                remove_container(client, container["Id"])
            repository = f"jobyard-{self.installation}"
            for image in client.images(f"{repository}*"):
                for tag in image["RepoTags"] or ():
                    if tag.startswith(repository):  # another's name for the same image stays
                        client.remove_image(tag)

    def _remove_processes(self) -> None:
        engine = ProcessEngine(root=self.data / "process/containers", clock=utc_now)
        for owned in engine.owned():
            engine.remove(owned.handle)
        engine.close()

    # --- what it left in the engine

    @property
    def database_url(self) -> str:
        return self.settings.get("database_url", f"sqlite:///{self.data}/jobyard.db")

    @property
    def installation(self) -> str:
        """The id in the labels of its containers."""
        db = Database(self.database_url)
        try:
            with db.read() as tx:
                return facts.read(tx, "installation") or "none"
        finally:
            db.close()

    def containers(self, client: docker.APIClient) -> Sequence[Json]:
        return client.containers(all=True, filters={"label": f"{INSTALLATION_LABEL}={self.installation}"})

    # --- the API

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self.http.request(
            method, f"/api/v1{path}", headers={"Authorization": f"Bearer {TOKEN}"}, **options
        )

    def api(self, method: str, path: str, json: Json = None, **query: Any) -> Json:
        """The answer's JSON. Raises ApiError unless it is a success."""
        answer = self.request(method, path, json=json, params=query)
        if not answer.is_success:
            raise ApiError(answer)
        return answer.json() if answer.content else None

    def items(self, path: str, **query: Any) -> list[Json]:
        items: list[Json] = self.api("GET", path, limit=100, **query)["items"]
        return items

    def text(self, path: str) -> str:
        answer = self.request("GET", path)
        if not answer.is_success:
            raise ApiError(answer)
        return answer.text

    def make_job(self, name: str, url: str, *, project: str = "acme", **fields: Any) -> Json:
        """A job on the branch main of the repository that runs after each build. `build` goes into its source."""
        if project not in [each["name"] for each in self.items("/projects")]:
            self.api("POST", "/projects", {"name": project, "webhook_secret": SECRET})
        git = {"type": "git", "git": {"url": url, "branch": "main"}, "build": fields.pop("build", {})}
        source = fields.pop("source", git)
        job = {"name": name, "source": source, "run_on_image_change": "cd-promote", **fields}
        return self.api("POST", f"/projects/{project}/jobs", job)

    def runs(self, job: str = "report", project: str = "acme") -> list[Json]:
        """Newest first."""
        return self.items(f"/projects/{project}/jobs/{job}/runs")

    def builds(self, job: str = "report", project: str = "acme") -> list[Json]:
        return self.items(f"/projects/{project}/jobs/{job}/builds")

    def decisions(self, push: Push) -> list[Json]:
        found: list[Json] = self.api("GET", f"/deliveries/{push.delivery}")["decisions"]
        return found

    # --- the forge

    def push(
        self,
        repository: Repository,
        *,
        before: str | None = None,
        after: str | None = "HEAD",
        ref: str = "refs/heads/main",
        url: str | None = None,
        secret: str = SECRET,
        delivery: str | None = None,
        changes: Mapping[str, Any] | None = None,
    ) -> Push:
        """Send the delivery that a forge would for this push, signed. `changes` replaces fields of the payload."""
        sha = repository.git("rev-parse", after) if after == "HEAD" else after
        payload = push_payload(
            repository.path, before=before, after=sha, ref=ref, clone_url=url or repository.url
        )
        body = encode({**payload, **(changes or {})})
        delivery = delivery or f"delivery-{next(self._numbers)}-{time.monotonic_ns()}"
        answer = self.http.post(
            "/webhooks/github", content=body, headers=push_headers(secret.encode(), body, delivery)
        )
        return Push(delivery, sha or "", answer.status_code, answer.json())

    # --- waiting

    def wait_for(self, what: str, probe: Callable[[], Any], seconds: float = WAIT_SECONDS) -> Any:
        """Poll until `probe` gives something true, and return it."""
        deadline = time.monotonic() + seconds
        while not (found := probe()):
            assert time.monotonic() < deadline, f"not in {seconds:.0f} s: {what}"
            time.sleep(0.02)
        return found

    def settled(self, push: Push) -> Json:
        """The delivery, once it is processed."""

        def probe() -> Json:
            delivery = self.api("GET", f"/deliveries/{push.delivery}")
            return delivery if delivery["status"] != "received" else None

        return self.wait_for(f"delivery {push.delivery} is processed", probe)

    def built(self, push: Push, seconds: float = WAIT_SECONDS) -> Json:
        """The build that the push caused, once it is over."""
        self.settled(push)
        number = next(each["build"] for each in self.decisions(push) if each["build"])
        return self.over(f"/builds/{number}", seconds)

    def ran(self, push: Push, job: str = "report", seconds: float = WAIT_SECONDS) -> Json:
        """The run that the push caused, once it is over."""
        build = self.built(push, seconds)
        path = f"/builds/{build['id']}"
        assert build["status"] == "succeeded", f"{build}\n{self.text(f'{path}/logs')}"

        def probe() -> Json:
            return next((each for each in self.runs(job) if each["build"] == build["id"]), None)

        run = self.wait_for(f"a run of build {build['id']}", probe)
        return self.over(f"/runs/{run['id']}", seconds)

    def over(self, path: str, seconds: float = WAIT_SECONDS) -> Json:
        """A build or a run, once it has ended."""

        def probe() -> Json:
            found = self.api("GET", path)
            return found if found["status"] in ("succeeded", "failed", "cancelled") else None

        return self.wait_for(f"{path} is over", probe, seconds)

    def log_of(self, run: Json) -> str:
        return self.text(f"/runs/{run['id']}/logs")


@contextmanager
def jobyard_server(data: Path, **settings: str) -> Iterator[JobyardServer]:
    """A started server, ended and cleaned up after the block. A failure in the block shows the server's log."""
    server = JobyardServer(data, **settings)
    try:
        server.start()
        yield server
    except BaseException as error:
        error.add_note(f"--- server\n{server.log}")
        raise
    finally:
        server.close()


@contextmanager
def docker_client() -> Iterator[docker.APIClient]:
    client = docker.APIClient(timeout=60)
    try:
        yield client
    finally:
        client.close()


def free_port() -> int:
    """One that outgoing connections are not given either: it stays free while what listens on it is started again."""
    while True:
        port = SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
