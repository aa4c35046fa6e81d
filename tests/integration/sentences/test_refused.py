"""What is refused, and why, word by word; each row makes the situation that is refused so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from app.commands.builds import request_build
from app.commands.continuous_delivery import cancel_build
from app.commands.image_policy import require_reachable_hosts, require_usable_images
from app.commands.pausing import resume
from app.commands.remote_access import git_access
from app.domain.builds import BuildReason
from app.domain.egress import Egress, read_reach
from app.domain.errors import InvalidValue, UserError
from app.domain.job.records import Job
from app.domain.limits import COMMAND, split
from app.domain.paths import check_patterns
from app.domain.pipelines import Component, Pipeline, Stage, route
from app.domain.public_url import read_public_url
from app.domain.references import Ours, meaning_of, refusal
from app.domain.room import Room, no_room
from app.domain.schedule import Schedule
from app.domain.sealing import of_credential
from app.store import builds, comparisons, credentials, jobs, users
from app.store.database import Database, StoreUnavailable
from app.workers.clock_changes import ClockChanges
from app.workers.scheduler import Scheduler
from builders.backends.base import BuildFailed, BuildRequest
from tests.support.api import Caller
from tests.support.installation import Installation
from tests.support.sentences import said, sql

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
JOB = "/projects/acme/jobs"
SUCH = "such as https://jobyard.example.com"


def refused(call: Callable[[], object], error: type[Exception] = InvalidValue) -> str:
    with pytest.raises(error) as found:
        call()
    return str(found.value)


# values


@pytest.mark.parametrize(
    ("cron", "why"),
    [
        ("60 * * * *", "The minute '60' is out of range; it goes from 0 to 59."),
        ("5-1 * * * *", "The minute range '5-1' runs backwards; write it as two ranges or as a list."),
        ("*/0 * * * *", "The minute '*/0' has the step 0; it must be 1 to 59."),
        ("H * * * *", "The minute 'H' asks for a random or hashed value; choose a number instead."),
        (
            "* * x * *",
            (
                "The day of month 'x' can't be read; use *, a number from 1 to 31, a range a-b, a step */n, or a list"
                " of these separated by commas."
            ),
        ),
        (
            "* * * x *",
            "The month 'x' can't be read; use *, a number from 1 to 12, a name such as jan, a range a-b",
        ),
        (
            "* * * * x",
            "The day of week 'x' can't be read; use *, a number from 0 to 7, a name such as sun, a range a-b",
        ),
        ("0 0 30 2 *", "'0 0 30 2 *' never comes: no month it names has a day 30."),
        ("@often", "'@often' is not known; use five fields or one of @yearly"),
        (
            "CRON_TZ=UTC * * * * *",
            "A time zone can't be part of the expression; set it as schedule.time_zone.",
        ),
        ("* * * *", "A schedule has exactly five fields (minute, hour, day of month, month, day of week)"),
        ("* " * 200, "A schedule has at most"),
    ],
)
def test_schedules(cron: str, why: str) -> None:
    assert refused(lambda: Schedule.parse(cron)).lower().startswith(why.lower())


def test_a_schedule_of_all_weekdays_in_words() -> None:
    schedule = Schedule.parse("0 0 1 * 0,1,2,3,4,5,6")
    assert schedule.describe() == "at 00:00 on day 1 of the month or on every day of the week (UTC)"


def test_time_zones_and_years() -> None:
    assert refused(lambda: Schedule.parse("@daily", "Nowhere/Atall")) == (
        "There is no time zone 'Nowhere/Atall'; use an IANA name such as Europe/Berlin or UTC."
    )
    assert refused(lambda: Schedule.parse("@daily", "x" * 999)).startswith("A time zone's name has at most")
    late = datetime(8999, 12, 31, 23, 59, tzinfo=UTC)
    assert refused(lambda: Schedule.parse("@yearly").next_after(late.replace(year=9999))).startswith(
        "Schedules are known for the years 1970 to"
    )


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("[z-a]", "a range of characters must go from the lower to the higher one"),
        ("a[b", "a [ is not closed"),
        ("[[:nope:]]", "there is no such class; the classes are"),
        ("a\\", "nothing follows the last backslash"),
        ("/", "it names no file"),
    ],
)
def test_path_rules(pattern: str, why: str) -> None:
    said_ = refused(lambda: check_patterns([pattern], "paths"))
    assert said_.startswith(f"{pattern!r} is not .gitignore syntax: {why}")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://jöbyard.example", f"must be an address in plain ASCII, {SUCH}"),
        (
            "https://a.example/path",
            f"must be scheme, host and port alone, {SUCH}: no path, question, or user in it",
        ),
        ("ftp://a.example", f"must begin with http:// or https://, {SUCH}"),
    ],
)
def test_public_addresses(url: str, why: str) -> None:
    assert refused(lambda: read_public_url(url), ValueError) == why


def test_a_command_without_end() -> None:
    long = "x" * (COMMAND + 1)
    assert refused(lambda: split(long), ValueError) == (
        f"it has {COMMAND + 1:,} characters, and at most {COMMAND:,} are read"
    )


def test_a_part_of_an_id() -> None:
    meaning = meaning_of("abcdef1", Ours("jobyard-0123456789ab"))
    assert meaning is not None
    assert meaning.means == "part of an id"
    assert refusal(meaning, "abcdef1") == (
        "must be a name with a tag, or a whole digest, not the id 'abcdef1'"
    )


@pytest.mark.parametrize(
    ("room", "system", "what"),
    [
        (Room(1024, 5), "", "is nearly full, with room for 1.0 KiB and 5 more files: make room"),
        (Room(1024, None), "No space left on device", "is full, with room for 1.0 KiB: make room"),
        (None, "Read-only file system", "can't be written (Read-only file system): mend that"),
    ],
)
def test_directories(room: Room | None, system: str, what: str) -> None:
    said_ = no_room(Path("/data"), "JOBYARD_DATA", room, system)
    assert said_ == f"The directory /data {what}, and work goes on by itself. JOBYARD_DATA names it."


# names that are taken


def test_names_that_are_taken(admin: Caller) -> None:
    git = {"type": "git", "git": {"url": "https://github.com/acme/report.git"}}
    here = "in this project already."
    admin.made(JOB, {"name": "report", "source": git})
    things: dict[str, tuple[str, dict[str, Any]]] = {
        "There is a build service named": (
            "build-services",
            {"name": "x", "git": git["git"]},
        ),  # type: ignore[index]
        "There is a credential named": (
            "credentials",
            {"name": "x", "kind": "git", "host": "github.com", "secret": "abcdef"},
        ),
        "There is a secret group named": ("secret-groups", {"name": "x", "env": {}}),
        "There is an app named": ("apps", {"name": "x", "jobs": ["report"]}),
        "There is a pipeline named": (
            "pipelines",
            {"name": "x", "stages": [{"name": "one", "components": []}]},
        ),
        "There is a job named": ("jobs", {"name": "x", "source": git}),
        "There is a flow named": ("flows", {"name": "x", "nodes": [{"name": "ask", "type": "approval"}]}),
    }
    for what, (path, body) in things.items():
        admin.made(f"/projects/acme/{path}", body)
        again = admin.post(f"/projects/acme/{path}", json=body)
        assert again.json()["detail"] == f"{what} x {here}"
    with admin.context.db.write() as tx:
        users.add(tx, "ada", "hash", "admin", NOW)
        assert refused(lambda: users.add(tx, "ada", "hash", "admin", NOW), Exception) == (
            "There is a user named ada already."
        )


def test_what_is_in_use(admin: Caller) -> None:
    url = "https://github.com/acme/report.git"
    admin.made(
        "/projects/acme/credentials", {"name": "x", "kind": "git", "host": "github.com", "secret": "abcdef"}
    )
    admin.made("/projects/acme/build-services", {"name": "y", "git": {"url": url, "credential": "x"}})
    admin.made(JOB, {"name": "report", "source": {"type": "build_service", "build_service": "y"}})
    with admin.context.db.write() as tx:
        (found,) = credentials.of_kind(tx, 1, "git")
        assert refused(lambda: credentials.delete(tx, found), Exception) == (
            "Credential x is in use: name another in the jobs that have it first."
        )
    answer = admin.delete("/projects/acme/build-services/y?confirm=y")
    assert answer.json()["detail"] == (
        "Build service y is in use by report: give these another source first."
    )


def test_a_name_that_none_may_have(admin: Caller) -> None:
    answer = admin.post(JOB, json={"name": "No", "source": {"type": "none"}})
    assert answer.json()["detail"].startswith(
        "name must be 1 to 52 lower-case letters, digits and hyphens, with no hyphen at either end"
    )


def test_routes_of_promotions() -> None:
    one, app = Component("job", 1, "report"), Component("app", 1, "shop")
    stages = [Stage(name, ()) for name in ("two", "three")]
    last = Stage("four", (app,))
    pipeline = Pipeline(1, 1, "acme", "main", (Stage("one", (one,)), *stages, last), NOW)

    def way(to: str | None = None, to_stage: str | None = None, *, skip: bool = False) -> str:
        return refused(
            lambda: route(pipeline, "report", to=to, to_stage=to_stage, may_skip_stages=skip), UserError
        )

    assert way(to="shop") == (
        "two, three come between: promote there first, or say skip_stages as an administrator."
    )
    assert way(to="shop", skip=True) == "to must name a job as report is, not an app."
    assert way() == "Stage two has no job that is the peer of report: name it with to."


# databases


def test_databases_that_are_none_or_too_new(tmp_path: Path) -> None:
    (tmp_path / "none.db").write_bytes(b"not a database at all" * 99)
    db = Database(f"sqlite:///{tmp_path / 'none.db'}")
    assert refused(db.migrate, StoreUnavailable) == (
        "The database can't be read: file is not a database. Restore a backup, or see JOBYARD_DATA and"
        " JOBYARD_DATABASE_URL."
    )
    db.close()
    new = Database(f"sqlite:///{tmp_path / 'new.db'}")
    new.migrate()
    with new.write() as tx:
        tx.connection().exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    assert refused(new.migrate, UserError) == (
        "The database has revision 9999, which this version of Jobyard doesn't know: run the newer version again, or"
        " restore a backup made before it."
    )
    new.close()


# switches, credentials, builds and schedules


def resumed(place: Installation, job: Job, **switches: bool) -> Callable[[], object]:
    def call() -> None:
        with place.db.write() as tx:
            resume(tx, place.names, jobs.with_id(tx, job.id), who="ada", now=NOW, **switches)

    return call


def test_switches_that_a_job_does_not_have(place: Installation) -> None:
    job = place.job()
    assert refused(resumed(place, job, schedule_active=True)) == (
        "schedule_active is for cron jobs; report is manual."
    )
    sql(place, "UPDATE source SET name = 'reports'")
    assert refused(resumed(place, job, ci_enabled=True)) == (
        "ci_enabled of report is that of build service reports: set it there."
    )


@pytest.mark.parametrize(
    ("url", "where"),
    [("https://elsewhere.example/a/b.git", "elsewhere.example"), ("file:///srv/a", "a local path")],
)
def test_a_credential_of_another_host(place: Installation, url: str, where: str) -> None:
    sealed = place.box.seal("secret", of_credential(place.project.id, 1))
    with place.db.write() as tx:
        known = credentials.create(
            tx,
            place.project.id,
            name="github",
            kind="git",
            host="github.com",
            username="",
            secret=sealed,
            now=NOW,
        )
        assert refused(lambda: git_access(tx, place.box, known.id, url)) == (
            f"Credential github is for github.com and is not sent to {where}: name another one in the source."
        )


def request(text: str, **arguments: str) -> BuildRequest:
    return BuildRequest(context=Path(), dockerfile_text=text, build_args=arguments)


def test_what_a_build_may_not_ask_for(place: Installation) -> None:
    ours = Ours("jobyard-0123456789ab")
    with place.db.read() as tx:
        cache = request("FROM busybox", BUILDKIT_CACHE_MOUNT_NS="other")
        assert refused(lambda: require_usable_images(tx, ours, 1, cache), BuildFailed) == (
            "The build variable BUILDKIT_CACHE_MOUNT_NS is Jobyard's own: take it out of the job's variables."
        )
        host = request("FROM busybox\nRUN --network=host true")
        assert refused(lambda: require_usable_images(tx, ours, 1, host), BuildFailed) == (
            "The Dockerfile has a step with --network=host: no step of a build gets the network of the machine, or may"
            " do more than any other, so take the option out."
        )
    near = request("FROM metadata.example/image")
    assert refused(lambda: hosts_of(near, "169.254.169.254"), BuildFailed) == (
        "The Dockerfile asks for something at metadata.example, which is at the link-local address 169.254.169.254,"
        " where clouds keep their machines' credentials: use the server's real address."
    )


def hosts_of(asking: BuildRequest, *addresses: str, egress: Egress | None = None) -> None:
    known = replace(egress or Egress(), is_own=lambda it: str(it) == "198.51.100.7")
    require_reachable_hosts(asking, lambda *_: list(addresses), known)


@pytest.mark.parametrize(
    ("address", "reach"),
    [
        ("10.0.0.9", "private"),
        ("fd12::1", "private"),
        ("127.0.0.1", "host"),
        ("::ffff:127.0.0.1", "host"),
        ("0.0.0.0", "host"),
        ("198.51.100.7", "host"),
        ("192.0.2.1", "internet"),
    ],
)
def test_a_file_is_added_only_from_where_builds_may_reach(address: str, reach: str) -> None:
    adding = request("FROM busybox\nADD http://files.example/a /a")
    everywhere = read_reach("internet,private,host")
    hosts_of(adding, address, egress=Egress(everywhere))
    hosts_of(request("FROM files.example/image"), address, egress=Egress(frozenset()))
    allowed = everywhere - {reach}
    assert refused(lambda: hosts_of(adding, address, egress=Egress(allowed)), BuildFailed) == (
        f"The Dockerfile adds something from files.example, which is at {ip_address(address)}: that counts as {reach},"
        f" and builds may reach {Egress(allowed)} (JOBYARD_EGRESS)."
    )


def test_a_base_image_is_of_no_registry_that_the_setting_leaves_out() -> None:
    near, internet = request("FROM images.example:5000/base"), read_reach("internet")
    egress = Egress(internet, asked=internet)
    hosts_of(near, "192.0.2.1", egress=egress)
    hosts_of(near, "10.0.0.9", egress=replace(egress, registry="images.example:5000"))
    assert refused(lambda: hosts_of(near, "10.0.0.9", egress=egress), BuildFailed) == (
        "The Dockerfile's base image is of images.example:5000, which is at 10.0.0.9: that counts as private, which is"
        " none of internet (JOBYARD_EGRESS)."
    )


def test_a_file_from_a_host_in_a_variable_is_not_added() -> None:
    assert refused(lambda: hosts_of(request("FROM x\nADD http://$H/a /a"), "192.0.2.1"), BuildFailed) == (
        "The Dockerfile adds something from 'http://$H', whose host Jobyard can't know before the build: write the"
        " host out."
    )


def test_a_schedule_that_meets_a_fault_of_ours(place: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    schedule = {"cron": "* * * * *", "time_zone": "UTC", "active": True}
    place.job(kind="cron", schedule=schedule)
    place.clock.advance(60)

    def fault(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("app.workers.scheduler.due", fault)
    Scheduler(place.db, place.clock, place.names, ClockChanges(place.db, place.clock)).step()
    assert said(place) == (
        "Scheduled for 2026-01-31 12:01 UTC, but Jobyard failed to work the schedule out; the server's log has more."
    )


def test_a_comparison_that_meets_a_fault_of_ours(place: Installation) -> None:
    place.job()
    place.repository.faults = [ZeroDivisionError()]
    place.server("one").remote_poller.step()
    with place.db.read() as tx:
        (watched,) = comparisons.of_project(tx, place.project.id, 9)
    assert watched.sentence == "Jobyard failed while comparing with the remote; the server's log has more."


def test_a_commit_that_is_not_known_yet(place: Installation) -> None:
    job = place.job()
    with place.db.write() as tx:
        request_build(tx, job, sha=None, branch=None, who="ada", now=NOW)
    assert said(place) == "Build 1 of the head of main asked for by ada."
    with place.db.write() as tx:
        cancel_build(tx, place.names, builds.with_id(tx, 1), BuildReason.CANCELLED, "Cancelled by ada.", NOW)
    assert said(place) == "Build 1 of an unknown commit cancelled: nothing is deployed."
