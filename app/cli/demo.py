"""`jobyard demo`: from a signed push to the finished run's log, on a throwaway installation."""

from __future__ import annotations

import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.options import add_command
from app.cli.sample import Sample, sample_repository, signed
from app.domain.errors import JobyardError, UserError

if TYPE_CHECKING:
    from app.config import Settings
    from app.engines.base import Engine

PORT = 8080
PATIENCE_SECONDS = 900
NOISE = ("sha256:", "transferring ", "exporting layers", "naming to", "DONE 0.")


def add_to(cli: typer.Typer) -> None:
    add_command(cli, "demo", demo, "jobyard demo", "jobyard demo --exit")


def demo(
    leave: Annotated[
        bool, typer.Option("--exit", help="End after the run instead of waiting for Ctrl-C.")
    ] = False,
) -> None:
    """Show the main thing on a throwaway server: a signed push, its build, its run, its log."""
    from app.checkout import find_git

    find_git()  # before anything is made
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    progress = Progress()
    succeeded = False
    with (
        tempfile.TemporaryDirectory(prefix="jobyard-demo-", ignore_cleanup_errors=True) as directory,
        suppress(KeyboardInterrupt),
        _throwaway(Path(directory), progress) as (server, sample),
    ):
        succeeded = server.run_through(sample)
        if not leave:
            progress.plain("Ctrl-C ends the server and removes what the demo made.")
            threading.Event().wait()
    sys.exit(0 if succeeded else 1)


@dataclass
class Progress:
    """Prints short lines, each with the seconds since the beginning."""

    began: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self.began:6.1f} s  {text}", flush=True)

    def plain(self, text: str = "") -> None:
        print(f"{'':10}{text}".rstrip(), flush=True)

    def quote(self, text: str) -> None:
        for line in text.splitlines():
            print(f"{'':8}| {line}", flush=True)


@dataclass(frozen=True)
class DemoServer:
    """The demo's server, as its user and as the forge see it."""

    url: str
    http: Any
    progress: Progress
    secret: str
    login_path: str

    def run_through(self, sample: Sample) -> bool:
        """Push, build and run; return whether the run succeeded."""
        progress = self.progress
        self._api("POST", "/projects", json={"name": "demo", "webhook_secret": self.secret})
        git = {"url": sample.url, "branch": "main"}
        job = {"name": "hello", "source": {"type": "git", "git": git}, "run_on_image_change": "cd-promote"}
        self._api("POST", "/projects/demo/jobs", json=job)
        progress.say("Project demo with the job hello: build every push to main, and run what was built.")

        body, headers = signed(sample, self.secret)
        answer = self.http.post("/webhooks/github", content=body, headers=headers)
        progress.say(
            f"A push of {sample.sha[:7]}: POST /webhooks/github, signed with the project's secret → "
            f"{answer.status_code} {answer.json().get('status', answer.text)}."
        )
        build_id = self._decision(headers["X-GitHub-Delivery"])
        if build_id is None:
            return False
        progress.plain()
        build = self._follow(f"/builds/{build_id}", is_build=True)
        progress.say(f"Build {build['id']} {build['status']}: {build['digest'] or build['sentence']}")
        if build["status"] != "succeeded":
            return False
        run = self._poll(
            lambda: next(iter(self._api("GET", "/projects/demo/jobs/hello/runs")["items"]), None)
        )
        progress.say(f"Run {run['name']}: {run['trigger']['cause']}")
        progress.plain()
        run = self._follow(f"/runs/{run['id']}")
        progress.say(f"Run {run['name']} {run['status']}: {run['sentence']}")
        progress.plain()
        progress.plain(f"Status page   {self.url}/runs/{run['id']}")
        progress.plain(f"Set up, once  {self.url}{self.login_path}")
        progress.plain()
        return bool(run["status"] == "succeeded")

    def _decision(self, delivery: str) -> int | None:
        """Wait for the verdict on the delivery; return the number of the build it led to."""

        def probe() -> Any:
            found = self._api("GET", f"/deliveries/{delivery}")
            return found if found["status"] != "received" else None

        processed = self._poll(probe)
        for decision in processed["decisions"]:
            self.progress.say(f"Decision: {decision['verdict']}. {decision['sentence']}")
            if decision["build"]:
                return int(decision["build"])
        self.progress.say(f"Delivery {processed['status']}: {processed['sentence']}")
        return None

    def _follow(self, path: str, *, is_build: bool = False) -> Any:
        """Print the log as it comes, to its end; return the build or run that it is of."""
        offset, pending = 0, ""
        while True:
            thing = self._api("GET", path)
            answer = self.http.get(f"/api/v1{path}/logs", params={"offset": offset})
            answer.raise_for_status()
            offset = int(answer.headers["X-Log-Next-Offset"])
            whole, _, pending = (pending + answer.text).rpartition("\n")
            lines = [line for line in whole.splitlines() if not is_build or _is_worth_reading(line)]
            self.progress.quote("\n".join(lines))
            if thing["status"] in ("succeeded", "failed", "cancelled"):
                self.progress.quote(pending)
                self.progress.plain()
                return thing
            time.sleep(0.05)

    def _api(self, method: str, path: str, **options: Any) -> Any:
        answer = self.http.request(method, f"/api/v1{path}", **options)
        if not answer.is_success:
            raise UserError(f"{method} {path} answered {answer.status_code}: {answer.text}")
        return answer.json()

    def _poll(self, probe: Any) -> Any:
        until = time.monotonic() + PATIENCE_SECONDS
        while not (found := probe()):
            if time.monotonic() > until:
                raise UserError("The demo's server makes no progress; its messages are above.")
            time.sleep(0.05)
        return found


def _is_worth_reading(line: str) -> bool:
    """Return whether a line of BuildKit's plain output is more than digests and sub-second bookkeeping."""
    return bool(line.strip()) and not (line.startswith("#") and any(noise in line for noise in NOISE))


@contextmanager
def _throwaway(directory: Path, progress: Progress) -> Iterator[tuple[DemoServer, Sample]]:
    """Yield a served installation below `directory` with a sample repository; nothing of it stays in the engine."""
    import httpx2
    from pydantic import SecretStr

    from app.bootstrap.engine import ask_engine
    from app.bootstrap.server import open_server
    from app.commands.accounts import setup_path
    from app.config import Settings

    token = token_urlsafe(24)
    settings = Settings(
        data=directory / "data",
        database_url=None,
        secret_key=None,
        registry=None,
        admin_token=SecretStr(token),
        git_allow="file",
        egress_bridge="open",
        build_cache_gb=0,  # what the engine's owner has there is none of a demo's business
    )
    listener = _listen(PORT)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with listener, _swept(settings), open_server(settings, url) as app:
        server = app.state.server
        health = ask_engine(settings)
        if not health.is_up:
            raise UserError(health.sentence)
        with _serving(app, listener):
            progress.say(f"The server listens on {url}, its data is in {directory}.")
            progress.say(health.sentence)
            if health.isolation:
                progress.say(health.isolation)
            sample = sample_repository(directory / "hello")
            progress.say(f"A sample Git repository: {sample.what}, commit {sample.sha[:7]}.")
            headers = {"Authorization": f"Bearer {token}"}
            with httpx2.Client(base_url=url, headers=headers, timeout=30) as http:
                login = setup_path(server.db, server.clock.now())
                yield DemoServer(url, http, progress, token_urlsafe(24), login), sample
            progress.say("Ending the server and tidying up.")


def _listen(port: int) -> socket.socket:
    """Return a socket on this port, or on any free one if it is taken."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError:
        listener.bind(("127.0.0.1", 0))
    return listener


@contextmanager
def _serving(app: Any, listener: socket.socket) -> Iterator[None]:
    """Serve in a thread of its own until the block ends."""
    import uvicorn

    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="server")
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise UserError("The demo's server did not start; its messages are above.")
            time.sleep(0.01)
        yield
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def _swept(settings: Settings) -> Iterator[None]:
    """Remove this installation's containers and images from the engine after the block, whatever happens in it."""
    from app.bootstrap.engine import make_engine
    from app.installation import open_installation

    with open_installation(settings) as installation:
        name, clock = installation.id, installation.clock
    try:
        yield
    finally:
        engine = make_engine(settings, name, clock)
        try:
            for owned in engine.owned():
                engine.stop(owned.handle, 0)
                engine.remove(owned.handle)
            _remove_images(engine, f"jobyard-{name}:")
        except JobyardError as error:
            print(f"jobyard: left behind in the engine: {error}", file=sys.stderr)
        finally:
            engine.close()


def _remove_images(engine: Engine, beginning: str) -> None:
    """Remove images by name, so that an image somebody else has under another name stays."""
    for image in engine.images():
        for name in image.names:
            if name.startswith(beginning):
                engine.remove_image(name)
