"""A real Prometheus scrapes a server, and the dashboard for Grafana asks for what there is."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import yaml

from app.domain.runs import Outcome, Reason
from app.web.exposition import exposition
from app.web.server_context import ServerContext
from tests.support.api import Caller, attempt_ends, build_succeeds
from tests.support.backed_up import PLAN, back_up
from tests.support.cli import serving
from tests.support.project import ROOT
from tests.support.server import free_port
from tests.support.waiting import eventually

UP_SECONDS = 60.0
DASHBOARD = json.loads((ROOT / "scripts/deploy/grafana.json").read_text())
EXPRESSIONS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
OF_GRAFANA = {"$__rate_interval": "5m", "$job": ".*", "$instance": ".*"}


class Prometheus:
    """Its API, by which it says what it has scraped."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def ask(self, path: str, **query: str) -> Any:
        answer = self._http.get(f"/api/v1/{path}", params=query).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def values(self, query: str) -> dict[tuple[str, ...], float]:
        """What it has, by the values of the labels that were asked for."""
        found = self.ask("query", query=query)["result"]
        return {
            tuple(value for name, value in sorted(each["metric"].items()) if name != "__name__"): float(
                each["value"][1]
            )
            for each in found
        }

    def is_up(self) -> bool:
        with suppress(httpx.TransportError, ValueError):
            return list(self.values("up").values()) == [1.0]
        return False


@contextmanager
def prometheus(root: Path, target: int, token: str) -> Iterator[Prometheus]:
    """One that scrapes the server at that port each second, once it has done so."""
    (root / "token").write_text(token)
    job = {
        "job_name": "jobyard",
        "authorization": {"credentials_file": str(root / "token")},
        "static_configs": [{"targets": [f"127.0.0.1:{target}"]}],
    }
    config = {"global": {"scrape_interval": "1s"}, "scrape_configs": [job]}
    (root / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    command = (
        "prometheus",
        f"--config.file={root}/prometheus.yml",
        f"--storage.tsdb.path={root}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    )
    with (root / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=root)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as http:
            found = Prometheus(http)
            eventually(found.is_up, UP_SECONDS)
            yield found
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def furnished(admin: Caller) -> ServerContext:
    """A run that failed, a build that succeeded, and a backup."""
    admin.made("/projects/acme/jobs", {"name": "once", "source": {"type": "image", "image": "busybox"}})
    admin.made("/projects/acme/jobs/once/runs")
    attempt_ends(admin.context, Outcome(Reason.EXIT_NONZERO, exit_code=1))
    source = {"type": "git", "git": {"url": "https://github.com/acme/report"}}
    admin.made("/projects/acme/jobs", {"name": "report", "source": source})
    admin.made("/projects/acme/jobs/report/builds")
    build_succeeds(admin.context)
    admin.context.turns.note("intake", admin.context.clock.now())
    back_up(admin.context)
    return replace(admin.context, backups=PLAN)


def test_it_is_scraped_and_the_dashboard_asks_for_what_there_is(
    admin: Caller, furnished: ServerContext, tmp_path: Path
) -> None:
    token = admin.made("/tokens", {"name": "prometheus", "role": "viewer"})["token"]
    with serving(furnished) as port, prometheus(tmp_path, port, token) as there:
        ended = there.values("sum by (status, reason) (jobyard_runs_finished_total)")
        assert ended == {("exit_nonzero", "failed"): 1.0}
        assert there.values("sum by (le) (jobyard_run_duration_seconds_bucket)")[("+Inf",)] == 1.0
        assert there.values("jobyard_loop_last_turn_timestamp_seconds")
        described = {each["metric"] for each in there.ask("targets/metadata")}
        for expression in EXPRESSIONS:
            for name in re.findall(r"(?:jobyard|process)_\w+", expression):
                assert {name, re.sub(r"_(bucket|total)$", "", name)} & described, name
            asked = expression
            for variable, value in OF_GRAFANA.items():
                asked = asked.replace(variable, value)
            there.ask("query", query=asked)
        titles = [panel["title"] for panel in DASHBOARD["panels"]]
        assert len(set(titles)) == len(titles)


def test_promtool_has_nothing_against_it(furnished: ServerContext) -> None:
    text = exposition(furnished)
    done = subprocess.run(("promtool", "check", "metrics"), input=text, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr == b""
