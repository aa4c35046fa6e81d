"""Notification targets through the API: what may be given, what is shown, and that no address comes out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.web.server_context import ServerContext
from tests.support.api import Caller

TARGETS, JOBS = "/projects/acme/notification-targets", "/projects/acme/jobs"
OPS = {"name": "ops", "kind": "slack", "address": "https://hooks.example.com/the-secret", "on": ["failure"]}


def refused(admin: Caller, **changes: Any) -> dict[str, str]:
    answer = admin.post(TARGETS, json={**OPS, **changes})
    assert answer.status_code == 422, answer.text
    return {each["field"]: each["message"] for each in answer.json()["errors"]}


def test_a_target_is_shown_without_its_address(admin: Caller, tmp_path: Path) -> None:
    made = admin.made(TARGETS, OPS)
    expected = {"name": "ops", "kind": "slack", "address": None, "on": ["failure"], "jobs": []}
    assert made | expected == made
    assert made["warnings"] == []
    assert admin.got(f"{TARGETS}/ops") == made == admin.got(TARGETS)["items"][0]
    stored = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert b"the-secret" not in stored


def test_a_webhook_gets_a_secret_that_is_shown_once(admin: Caller) -> None:
    made = admin.made(TARGETS, {**OPS, "kind": "webhook"})
    assert made["signing_secret"].startswith("whsec_")
    assert admin.got(f"{TARGETS}/ops")["signing_secret"] is None
    assert admin.patch(f"{TARGETS}/ops", json={"on": ["end"]}).json()["signing_secret"] is None
    again = admin.patch(f"{TARGETS}/ops", json={"address": "https://hooks.example.com/b"}).json()
    assert again["signing_secret"] not in (None, made["signing_secret"])
    own = {"address": "https://hooks.example.com/b#whsec_" + "QUJD" * 8}
    assert admin.patch(f"{TARGETS}/ops", json=own).json()["signing_secret"] is None


def test_what_a_target_is_told_of_has_to_make_sense(admin: Caller) -> None:
    assert refused(admin, on=[]) == {"on": "on must name at least one rule, such as failure."}
    assert refused(admin, kind="ping") == {
        "on": "on must be empty for a ping, which tells each begin and end of a run."
    }
    assert refused(admin, on=["absence"]) == {
        "absence_hours": "absence_hours must say for how many hours without a success absence is told."
    }
    assert refused(admin, absence_hours=3) == {
        "absence_hours": "absence_hours has a meaning only where on has absence."
    }
    assert refused(admin, jobs=["nowhere"]) == {
        "jobs.0": "jobs.0 must name a job of project acme, not 'nowhere'."
    }
    assert list(refused(admin, on=["sometimes"])) == ["on.0"]
    assert list(refused(admin, absence_hours=0)) == ["absence_hours"]
    without = {name: value for name, value in OPS.items() if name != "address"}
    assert admin.post(TARGETS, json=without).json()["errors"][0]["field"] == "address"


def test_an_address_that_is_refused_is_not_repeated(admin: Caller) -> None:
    answer = admin.post(TARGETS, json={**OPS, "address": "ftp://user:the-password@example.com"})
    assert answer.status_code == 422
    assert "the-password" not in answer.text
    assert admin.post(TARGETS, json={**OPS, "address": "http://169.254.169.254/"}).status_code == 422


def test_a_name_is_taken_once(admin: Caller) -> None:
    admin.made(TARGETS, OPS)
    answer = admin.post(TARGETS, json=OPS)
    assert answer.status_code == 409
    assert answer.json()["detail"] == "There is a notification target named ops in this project already."


def test_a_project_has_a_bounded_number_of_them(admin: Caller) -> None:
    for number in range(50):
        admin.made(TARGETS, {**OPS, "name": f"ops-{number}"})
    answer = admin.post(TARGETS, json=OPS)
    assert answer.status_code == 409
    assert answer.json()["detail"] == "A project has at most 50 notification targets: delete one first."


def test_a_change_keeps_what_it_does_not_name(admin: Caller) -> None:
    admin.made(JOBS, {"name": "report", "source": {"type": "image", "image": "busybox"}})
    admin.made(TARGETS, {**OPS, "on": ["absence", "failure"], "absence_hours": 24, "jobs": ["report"]})
    same = admin.patch(f"{TARGETS}/ops", json={}).json()
    assert (same["on"], same["jobs"], same["absence_hours"]) == (["failure", "absence"], ["report"], 24)
    without = admin.patch(f"{TARGETS}/ops", json={"on": ["failure"]}).json()
    assert (without["on"], without["absence_hours"]) == (["failure"], None)
    for field, value in (("name", "other"), ("kind", "email")):
        answer = admin.patch(f"{TARGETS}/ops", json={field: value})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["message"].startswith(f"{field} can't be changed: it stays ")


def test_a_target_whose_jobs_are_gone_warns(admin: Caller) -> None:
    admin.made(JOBS, {"name": "report", "source": {"type": "image", "image": "busybox"}})
    admin.made(TARGETS, {**OPS, "jobs": ["report"]})
    admin.delete(f"{JOBS}/report?confirm=report")
    shown = admin.got(f"{TARGETS}/ops")
    assert shown["jobs"] == []
    assert shown["warnings"] == ["All jobs that it was for are deleted, so it is told of nothing but alarms."]


@pytest.mark.parametrize("sends_mail", [True, False])
def test_a_mail_without_a_mail_server_warns(context: ServerContext, sends_mail: bool) -> None:
    admin = Caller(replace(context, sends_mail=sends_mail))
    admin.made("/projects", {"name": "acme"})
    made = admin.made(TARGETS, {**OPS, "kind": "email", "address": "ops@example.com"})
    said = "No mail is sent: JOBYARD_SMTP_URL is not set on this server."
    assert made["warnings"] == ([] if sends_mail else [said])


def test_a_test_is_a_message_like_others(admin: Caller) -> None:
    admin.made(TARGETS, OPS)
    answer = admin.post(f"{TARGETS}/ops/test")
    assert answer.status_code == 202
    sent = answer.json()
    assert (sent["subject"], sent["status"], sent["is_test"]) == ("[acme] A test of ops", "waiting", True)
    assert admin.got(f"{TARGETS}/ops/deliveries")["items"] == [sent]
    assert admin.delete(f"{TARGETS}/ops?confirm=ops").status_code == 204
    assert admin.get(f"{TARGETS}/ops/deliveries").status_code == 404
