"""What runs may less than others: by their job, and by what their project holds all of them to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.domain.job.spec import Hardening, Network
from app.engines.fake import Script
from app.store import projects
from tests.support.background import InBackground
from tests.support.fakes import commit
from tests.support.installation import Installation
from tests.support.loops import Server

NO_NETWORK = Hardening(network=Network.NONE)


@pytest.mark.parametrize(
    ("of_job", "of_project", "kept"),
    [
        ({}, Hardening(), Hardening()),
        ({"non_root": True, "network": "none"}, Hardening(), Hardening(True, False, Network.NONE)),
        ({}, Hardening(True, True), Hardening(True, True)),
        ({"read_only": True}, NO_NETWORK, Hardening(False, True, Network.NONE)),
    ],
)
def test_a_container_has_what_job_and_project_say_together(
    place: Installation, server: Server, of_job: dict[str, object], of_project: Hardening, kept: Hardening
) -> None:
    place.job(run_on_image_change="cd-promote", **of_job)
    place.push(commit("a"), commit("b"))
    with place.db.write() as tx:
        projects.set_hardening(tx, place.project.id, of_project)
    place.engine.script("*", Script(exit_code=None))
    server.intake.step()
    server.builder.step()
    run = InBackground(server.runner.step)
    server.until_running()
    found = place.engine.spec("run-1-1-0").hardening
    place.engine.finish("run-1-1-0")
    run.join()
    assert found == kept


def test_each_container_has_what_the_server_allows_of_disk(place: Installation) -> None:
    server = place.server("one", disk_bytes=64 << 20)
    place.job(run_on_image_change="cd-promote")
    place.push(commit("a"), commit("b"))
    place.engine.script("*", Script(exit_code=None))
    server.intake.step()
    server.builder.step()
    run = InBackground(server.runner.step)
    server.until_running()
    found = place.engine.spec("run-1-1-0").disk_bytes
    place.engine.finish("run-1-1-0")
    run.join()
    assert found == 64 << 20


def test_what_is_asked_for_in_words() -> None:
    assert Hardening().asked == {}
    assert replace(NO_NETWORK, non_root=True, read_only=True).asked == {
        "non_root": "not as root",
        "read_only": "read-only files",
        "network": "no network",
    }
