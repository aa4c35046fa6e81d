"""Makes an installation of a version with one of everything in it, and writes down its database as SQL.

The server is that version's own; it is spoken to over HTTP alone, and killed while a run is under way. What its API did
not have yet is left out, and named.
"""

from __future__ import annotations

import re
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.databases import running_postgres
from tests.support.project import ROOT
from tests.support.released import FOLDER, KEY, SECRET_VALUE
from tests.support.repositories import Repository
from tests.support.server import ApiError, JobyardServer, Json

NOWHERE = "unix:///nowhere/docker.sock"
NO_MAIL_SERVER = "smtp://127.0.0.1:1?from=jobyard@example.com"  # so that mails wait
SCRIPT = 'echo "$MODE"\nif [ "$MODE" = long ]; then sleep 600; fi\n'
LONG = {"env": {"MODE": "long"}}


class VersionServer(JobyardServer):
    """A server of the version whose packages lie in `tree`."""

    def __init__(self, tree: Path, data: Path, **settings: str) -> None:
        super().__init__(data, engine="process", docker_host=NOWHERE, secret_key=KEY, **settings)
        self.settings |= {"smtp_url": NO_MAIL_SERVER, "public_url": "https://jobyard.example.com"}
        self._tree = tree

    def _environment(self) -> dict[str, str]:
        return {**super()._environment(), "PYTHONPATH": str(self._tree)}


@dataclass(frozen=True)
class Furnisher:
    """Fills an installation, as its API allows."""

    server: VersionServer
    repository: Repository

    def furnish(self) -> None:
        for fill in (self._define, self._work, self._release, self._people, self._leave):
            fill()

    def make(self, path: str, body: Json = None, method: str = "POST") -> Json:
        """What came of a call; None, and a line, where this version has no such thing."""
        try:
            return self.server.api(method, path, body or {})
        except ApiError as error:
            if error.status not in (404, 405, 422):
                raise
            print(f"  not in this version: {error}", file=sys.stderr)
            return None

    def over(self, path: str) -> Json:
        """A deployment or a flow run, once it has come to its end or to somebody's answer."""

        def probe() -> Json:
            found = self.server.api("GET", path)
            waits = any(node["status"] == "running" for node in found.get("nodes", ()))
            return found if waits or found["status"] not in ("queued", "pending", "running") else None

        return self.server.wait_for(f"{path} is over", probe)

    def _define(self) -> None:
        secret = {"value": SECRET_VALUE, "secret": True, "scope": "run"}
        self.server.make_job(
            "report",
            self.repository.url,
            env={"MODE": "short", "API_TOKEN": secret},
            schedule={"cron": "0 6 * * *", "time_zone": "Europe/Berlin"},
            kind="cron",
            retry_limit=1,
            cd_enabled=True,
        )
        self.make("/projects", {"name": "guest"})
        self.make("/projects/guest", {"limits": {"jobs": 7}}, "PATCH")
        of = "/projects/acme"
        self.make(
            f"{of}/credentials", {"name": "forge", "kind": "git", "host": "git.example.com", "secret": "a"}
        )
        env = {"HOST": "mail.example.com", "PASSWORD": secret}
        self.make(f"{of}/secret-groups", {"name": "mail", "env": env, "jobs": ["report"]})
        self.make(f"{of}/build-services", {"name": "images", "git": {"url": self.repository.url}})
        self.make(f"{of}/jobs", {"name": "gone", "source": {"type": "image", "image": "nowhere/gone:1"}})
        check = {"type": "liveness", "protocol": "cmd", "cmd": ["true"]}
        held = {"health_checks": [check], "read_only": True}
        image = {"type": "image", "image": "busybox"}
        for fields in (held, {"health_checks": [check]}, {}):  # as much of it as this version has
            if self.make(f"{of}/jobs", {"name": "paused", "source": image, **fields}):
                break
        self.make(f"{of}/jobs/paused/pause")

    def _work(self) -> None:
        sha = self.repository.commit({"run.sh": SCRIPT}, "Begin")
        self.server.ran(self.server.push(self.repository))
        self.repository.commit({"README": "what it is"}, "Say what it is")
        self.server.ran(self.server.push(self.repository, before=sha))
        self.server.settled(self.server.push(self.repository, ref="refs/tags/v1"))
        of = "/projects/acme/jobs"
        built = self.make("/projects/acme/build-services/images/builds", {"sha": sha})
        self.server.over(f"/builds/{built['id']}")
        failed = self.make(f"{of}/gone/runs")
        self.server.over(f"/runs/{failed['id']}")
        cancelled = self.make(f"{of}/report/runs", LONG)
        self.make(f"/runs/{cancelled['id']}/cancel")
        self.server.over(f"/runs/{cancelled['id']}")

    def _release(self) -> None:
        of = "/projects/acme"
        source = {"type": "git", "git": {"url": self.repository.url, "branch": "main"}}
        for name, trigger in (("live", None), ("migrate", "pre-deploy")):
            fields = {"name": name, "source": source, "deploy_trigger": trigger}
            if not self.make(f"{of}/jobs", fields):
                self.make(f"{of}/jobs", {"name": name, "source": source})
        self.make(f"{of}/apps", {"name": "shop", "jobs": ["migrate", "live"]})
        deployment = self.make(f"{of}/apps/shop/deployments", {"sha": self.repository.head})
        self.over(f"/deployments/{deployment['id']}")
        self.make(f"{of}/jobs", {"name": "report-live", "source": {"type": "image", "image": "busybox"}})
        components = ("test", "report"), ("production", "report-live")
        stages = [{"name": stage, "components": [each]} for stage, each in components]
        self.make(f"{of}/pipelines", {"name": "reports", "stages": stages})
        self.make(f"{of}/pipelines/reports/promotions", {"from": "report"})
        nodes = [
            {"name": "check", "type": "run", "job": "report"},
            {"name": "ready", "type": "approval", "message": "Go on?"},
            {"name": "tell", "type": "message", "message": "Done.", "url": "https://chat.example.com/hook"},
        ]
        self.make(f"{of}/flows", {"name": "release", "nodes": nodes})
        started = self.make(f"{of}/flows/release/runs")
        self.server.wait_for("somebody is asked", lambda: self._asks(started["id"]))

    def _asks(self, flow_run: int) -> bool:
        nodes = self.server.api("GET", f"/flows/runs/{flow_run}")["nodes"]
        return any((each["name"], each["status"]) == ("ready", "running") for each in nodes)

    def _people(self) -> None:
        for name in ("deployer", "reader"):
            token = {"name": name, "role": "viewer", "project": "acme"}
            if not self.make("/tokens", token):
                self.make("/tokens", {"name": name, "role": "viewer"})
        for name, role in (("ada", "admin"), ("bob", "operator")):
            self.make(
                "/users", {"name": name, "email": f"{name}@example.com", "role": role, "project": "acme"}
            )

    def _leave(self) -> None:
        """A run is under way and another waits for it, while nobody is there any more."""
        started = self.make("/projects/acme/jobs/report/runs", LONG)
        path = f"/runs/{started['id']}"
        self.server.wait_for("it runs", lambda: self.server.api("GET", path)["status"] == "running")
        self.make("/projects/acme/jobs/report/runs", {"env": {"MODE": "next"}})
        self.server.kill()


@contextmanager
def tree_of(commit: str | None) -> Iterator[Path]:
    if commit is None:
        yield ROOT
        return
    with TemporaryDirectory() as folder:
        packed = subprocess.run(
            ["git", "archive", commit, "app", "builders"], cwd=ROOT, stdout=subprocess.PIPE, check=True
        )
        subprocess.run(["tar", "-x", "-C", folder], input=packed.stdout, check=True)
        yield Path(folder)


def dumped_sqlite(file: Path) -> str:
    with closing(sqlite3.connect(file)) as connection:
        return "\n".join(connection.iterdump()) + "\n"


def dumped_postgresql(url: str) -> str:
    program = max(Path("/usr/lib/postgresql").glob("*/bin/pg_dump"))
    done = subprocess.run(
        [program, "--inserts", "--no-owner", "--no-privileges", url],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    lines = (line for line in done.stdout.splitlines() if line and not line.startswith(("--", "\\")))
    return "\n".join(lines) + "\n"


def without_host_name(text: str) -> str:
    """Servers are called by the machine's name and a random suffix; what else has these letters in it may be sealed."""
    return re.sub(rf"'{re.escape(socket.gethostname())}(?=-[0-9a-f]{{8}}'|')", "'host", text)


def main(name: str, commit: str | None = None) -> None:
    with tree_of(commit) as tree, running_postgres() as cluster, TemporaryDirectory() as folder:
        for kind in ("sqlite", "postgresql"):
            print(f"{name} on {kind}", file=sys.stderr)
            data = Path(folder) / kind / "data"
            url = f"sqlite:///{data}/jobyard.db" if kind == "sqlite" else cluster.create("template0")
            leave(VersionServer(tree, data, database_url=url), Repository(data.with_name("report")))
            text = dumped_sqlite(data / "jobyard.db") if kind == "sqlite" else dumped_postgresql(url)
            text = text.replace(str(data), "/srv/jobyard").replace(folder, "/srv")
            (FOLDER / f"{name}.{kind}.sql").write_text(without_host_name(text))


def leave(server: VersionServer, repository: Repository) -> None:
    """Have the server make an installation, and end."""
    try:
        server.start()
        Furnisher(server, repository).furnish()
    except BaseException as error:
        error.add_note(server.log[-4000:])
        raise
    finally:
        server.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
