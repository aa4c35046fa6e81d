"""Another key for all that is sealed, killed at every point and gone on with."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app.commands import job_drafts
from app.commands.key_rotation import begin, finish, openers_now, reseal_all
from app.commands.variables import open_variable
from app.domain import sealing
from app.domain.errors import Conflict
from app.domain.sealing import (
    Owner,
    of_credential,
    of_mailed_link,
    of_message,
    of_project_hook,
    of_source_hook,
    of_target,
    written_place,
)
from app.secrets import SecretBox, SecretKeyError, key_id
from app.store import (
    credentials,
    flows,
    jobs,
    mails,
    notification_targets,
    projects,
    runs,
    secret_groups,
)
from app.store.database import Database
from app.web.server_context import ServerContext
from tests.support.api import Caller
from tests.support.installation import KEY, Installation
from tests.support.mortal import Fuse, Killed, MortalDatabase
from tests.support.project import ROOT
from tests.support.sealed import box_of, rotate, sealed_before

NEW = b"the key of next year, random too"
SECRET = "hidden-value"
GIT = {"url": "https://github.com/acme/report", "webhook_secret": "the secret of the hook"}
VARIABLE = {"value": SECRET, "secret": True}
SEALED = re.compile(r"v[12]\.[0-9a-f]{8}\.[A-Za-z0-9_=-]{20,}(?:\.[a-z]+:\d+:[a-z]+(?: [a-z]+)? \d+:\w*)?")


@pytest.fixture
def context(tmp_path: Path) -> Iterator[ServerContext]:
    """With something sealed in every table that can have it; every second value is of an earlier release."""
    with Installation.bare(tmp_path) as place:
        context = replace(place.web, sends_mail=True)
        furnish(Caller(context))
        yield context


def furnish(admin: Caller) -> None:
    admin.made("/projects", {"name": "acme", "webhook_secret": "the secret of all hooks"})
    of_acme = "/projects/acme"
    admin.made(
        f"{of_acme}/credentials", {"name": "forge", "kind": "git", "host": "github.com", "secret": SECRET}
    )
    source = {"type": "git", "git": GIT}
    job = {
        "name": "report",
        "source": source,
        "env": {"TOKEN": {**VARIABLE, "scope": "both"}, "PLAIN": "v1.a.b"},
    }
    admin.made(f"{of_acme}/jobs", job)
    image = {"type": "image", "image": "busybox"}
    admin.made(f"{of_acme}/jobs", {"name": "tool", "source": image, "env": {"TOKEN": VARIABLE}})
    admin.made(f"{of_acme}/secret-groups", {"name": "mail", "env": {"PASSWORD": VARIABLE}, "jobs": ["tool"]})
    admin.made(f"{of_acme}/jobs/report/builds")
    admin.made(f"{of_acme}/jobs/tool/runs", {"env": {"EXTRA": VARIABLE}})
    message = {"name": "tell", "type": "message", "message": "Done.", "url": "https://chat.example.com/x"}
    run = {"name": "try", "type": "run", "job": "tool", "overrides": {"env": {"EXTRA": VARIABLE}}}
    admin.made(f"{of_acme}/flows", {"name": "release", "nodes": [run, {"parallel": [message]}]})
    admin.made(f"{of_acme}/flows/release/runs")
    told = {"kind": "ntfy", "address": OPENED["target"], "on": ["failure"]}
    admin.made(f"{of_acme}/notification-targets", {"name": "ops", **told})
    admin.made("/users", {"name": "ada", "email": "ada@example.com"})
    context = admin.context
    with context.db.write() as tx:
        typed = {"given": {"name": OPENED["draft"]}}
        job_drafts.begin(tx, context.vault, "user 1", typed, context.clock.now())


def texts(db: Database) -> dict[str, list[str]]:
    """Every sealed value that there is, by table and column, whatever the schema says of them."""
    found: dict[str, list[str]] = {}
    metadata = sa.MetaData()
    with db.read() as tx:
        metadata.reflect(tx.connection())
        for table in metadata.sorted_tables:
            for column in table.c:
                rows = tx.connection().execute(sa.select(sa.cast(column, sa.Text))).scalars()
                values = [each for text in rows for each in SEALED.findall(text or "")]
                if values:
                    found[f"{table.name}.{column.name}"] = values
    return found


def opened(db: Database, box: SecretBox) -> dict[str, str]:
    """Every secret, as what uses it opens it."""

    def of(env: Any, job_id: int | None) -> dict[str, str]:
        return {
            name: open_variable(name, value, box, 1, job_id)
            for name, value in sorted(env.items())
            if value.secret
        }

    with db.read() as tx:
        acme, tool = projects.named(tx, "acme"), jobs.named(tx, "acme", "tool")
        report, flow = jobs.named(tx, "acme", "report"), flows.named(tx, "acme", "release")
        run, flow_run = runs.page(tx, limit=1)[0], flows.runs_page(tx, flow.id, 1)[0]
        assert report.source is not None
        told = {
            "project": box.open(acme.webhook_secret or "", of_project_hook(1)),
            "source": box.open(report.source.webhook_secret or "", of_source_hook(1, report.source.id)),
            "credential": box.open(credentials.named(tx, 1, "forge").secret, of_credential(1, 1)),
            "group": str(of(secret_groups.named(tx, 1, "mail").env, None)),
            "run": str(of(run.spec.env, run.job_id)),
            "report": str(of(report.spec.run.env, report.id)),
            "tool": str(of({name: each.given for name, each in tool.shared_env.items()}, tool.id)),
        }
        for node in flow_run.nodes:
            if (url := getattr(node.spec, "url", None)) is not None:
                told["node"] = box.open(url, of_message(1, flow.id, node.name))
        mail = mails.of_user(tx, 1)
        assert mail is not None
        told["mail"], _, code = box.open(mail.link or "", of_mailed_link(1)).rpartition("/")
        assert code
        target = notification_targets.named(tx, 1, "ops")
        told["target"] = box.open(target.address, of_target(1, target.id))
        told["draft"] = job_drafts.opened(tx, box, 1, "user 1")["given"]["name"]
    return told


OPENED = {
    "project": "the secret of all hooks",
    "source": "the secret of the hook",
    "credential": SECRET,
    "group": str({"PASSWORD": SECRET}),
    "run": str({"EXTRA": SECRET, "PASSWORD": SECRET, "TOKEN": SECRET}),
    "report": str({"TOKEN": SECRET}),
    "tool": str({"PASSWORD": SECRET}),
    "node": "https://chat.example.com/x",
    "mail": "/login/once",
    "draft": "typed of a new job",
    "target": "https://ntfy.example.com/backups",
}
PLACES = {
    "project.webhook_secret",
    "source.webhook_secret",
    "credential.secret",
    "secret_group.env",
    "job.definition",
    "job.shared_env",
    "job.effective",
    "build.env",
    "run.effective",
    "flow.definition",
    "flow_node.spec",
    "mail.link",
    "job_draft.content",
    "notification_target.address",
}


def make_some_old(context: ServerContext) -> None:
    """Every second sealed value becomes what an earlier release would have stored."""
    box = box_of(context.db, KEY)
    metadata = sa.MetaData()
    turns = iter(range(10_000))

    def older(sealed: re.Match[str]) -> str:
        place = written_place(sealed[0])
        if place is None or next(turns) % 2:
            return sealed[0]
        return sealed_before(KEY, box.open(sealed[0], place), place.purpose)

    with context.db.write() as tx:
        metadata.reflect(tx.connection())
        for name in PLACES:
            table, column = (part := name.split("."))[0], part[1]
            source = metadata.tables[table]
            for row_id, text in tx.connection().execute(
                sa.select(source.c.id, sa.cast(source.c[column], sa.Text))
            ):
                changed = SEALED.sub(older, text or "")
                if changed != text:
                    value = json.loads(changed) if isinstance(source.c[column].type, sa.JSON) else changed
                    update = source.update().where(source.c.id == row_id)
                    tx.connection().execute(update.values({column: value}))


def test_there_is_a_sealed_value_in_every_place(context: ServerContext) -> None:
    assert {*texts(context.db)} == PLACES
    assert opened(context.db, box_of(context.db, KEY)) == OPENED


STORED_NOWHERE = {
    '"sign-in"',  # it is in a cookie
    '"key check"',  # a rotation writes it
    "MANIFEST_PURPOSE",  # it is at GitHub, for an hour
    "PURPOSE",  # requests that are sent again: what earlier releases stored is opened, for a day
}


def test_a_value_is_sealed_for_no_purpose_that_is_missing_here(context: ServerContext) -> None:
    """Whatever is sealed for a new purpose must be made above: then the tests below look at its rotation."""
    purposes = {name: value for name, value in vars(sealing).items() if name.endswith("_PURPOSE")}
    modules = [path.read_text() for path in (ROOT / "app").rglob("*.py")]
    modules = [text for text in modules if "domain.sealing import" in text] + [inspect.getsource(sealing)]
    named = {purpose for text in modules for purpose in re.findall(r"\bPlace\(\s*([^,)\s]+),", text)}
    stored = {
        place.purpose
        for values in texts(context.db).values()
        for place in map(written_place, values)
        if place is not None
    }
    assert {purposes.get(name, name) for name in named - STORED_NOWHERE - {"purpose"}} == stored


@pytest.mark.parametrize("with_old", [False, True])
def test_everything_is_sealed_anew_and_the_old_key_opens_nothing(
    context: ServerContext, with_old: bool
) -> None:
    if with_old:
        make_some_old(context)
    assert opened(context.db, box_of(context.db, KEY)) == OPENED
    before = texts(context.db)
    done = rotate(context.db, KEY, NEW)
    assert done.unopened == []
    assert {*done.rows} == {name.partition(".")[0] for name in PLACES}
    after, box = texts(context.db), box_of(context.db, NEW)
    assert {*after} == {*before, "setting.value"}  # the check of the key
    for place, values in after.items():
        assert all(box.is_current(value) for value in values), place
        assert len(values) == len(before.get(place, values))
    assert opened(context.db, box) == OPENED
    with pytest.raises(SecretKeyError):
        box_of(context.db, KEY)
    with context.db.read() as tx:
        assert (
            jobs.named(tx, "acme", "report").env["PLAIN"].value == "v1.a.b"
        )  # no secret, whatever it looks like


def test_a_rotation_that_was_killed_at_any_point_is_gone_on_with(
    context: ServerContext, tmp_path: Path
) -> None:
    make_some_old(context)
    file = tmp_path / "jobyard.db"
    with context.db.read() as tx:
        tx.connection().exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    template, points = file.read_bytes(), 0
    fuse = Fuse()
    for number in range(1, 200):
        place = tmp_path / f"copy-{number}.db"
        place.write_bytes(template)
        db, fuse = Database(f"sqlite:///{place}"), Fuse(number)
        with suppress(Killed):
            rotate(MortalDatabase(db, fuse), KEY, NEW)
        if openers_now(db)[:1] != (key_id(NEW),):  # servers go on meanwhile
            assert opened(db, box_of(db, KEY)) == OPENED, fuse.burnt
            rotate(db, KEY, NEW)
        assert opened(db, box_of(db, NEW)) == OPENED, fuse.burnt
        db.close()
        points += fuse.is_blown
        if not fuse.is_blown:
            break
    assert points >= 2 * (2 + len({name.partition(".")[0] for name in PLACES}))


def test_a_server_seals_and_opens_with_its_old_key_until_it_has_the_new(context: ServerContext) -> None:
    server = box_of(context.db, KEY)
    place = Owner.job(1, 1).variable("TOKEN")
    begin(context.db, KEY, NEW)
    late = server.seal("by a server that has not looked yet", place)
    reseal_all(context.db, box_of(context.db, NEW))
    assert opened(context.db, server) == OPENED  # it looks when it meets a key that it doesn't know
    assert server.in_use() == f"{key_id(KEY)} {box_of(context.db, NEW).in_use().split()[1]}"
    finish(context.db, box_of(context.db, NEW), NEW)
    server.refresh()  # which it can't any more, and goes on
    assert opened(context.db, server) == OPENED
    assert box_of(context.db, NEW).open(late, place) == "by a server that has not looked yet"


def test_one_rotation_at_a_time(context: ServerContext) -> None:
    begin(context.db, KEY, NEW)
    begin(context.db, KEY, NEW)
    assert openers_now(context.db) == (key_id(KEY), key_id(NEW))
    with pytest.raises(Conflict) as raised:
        begin(context.db, KEY, b"a third key, random enough")
    assert str(raised.value) == "A rotation to another key is under way: finish it with that one first."
    with pytest.raises(Conflict) as raised:
        begin(context.db, KEY, KEY)
    assert str(raised.value) == "The new key is the one that is in use: give another one."


def test_what_no_key_opens_is_named_and_stays_while_the_rest_goes_on(context: ServerContext) -> None:
    with context.db.write() as tx:
        tx.connection().exec_driver_sql(
            "UPDATE credential SET secret = 'v1.00000000.AAAAAAAAAAAAAAAAAAAAAAAA'"
        )
    done = rotate(context.db, KEY, NEW)
    assert done.unopened == ["credential 1"]
    assert texts(context.db)["credential.secret"] == ["v1.00000000.AAAAAAAAAAAAAAAAAAAAAAAA"]
    assert box_of(context.db, NEW).is_current(texts(context.db)["project.webhook_secret"][0])


def test_two_values_that_changed_their_rows_open_in_neither(context: ServerContext) -> None:
    """And nothing else is touched by it: the project's hook goes on."""
    box = box_of(context.db, KEY)
    with context.db.write() as tx:
        hidden = sealed = ""
        for table, column in (("credential", "secret"), ("source", "webhook_secret")):
            hidden, sealed = (
                sealed,
                tx.connection()
                .exec_driver_sql(f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL")
                .scalar_one(),
            )
        tx.connection().execute(sa.text("UPDATE credential SET secret = :it"), {"it": sealed})
        tx.connection().execute(
            sa.text("UPDATE source SET webhook_secret = :it WHERE webhook_secret IS NOT NULL"), {"it": hidden}
        )
    with context.db.read() as tx:
        stored, report = credentials.named(tx, 1, "forge"), jobs.named(tx, "acme", "report")
    assert report.source is not None
    for value, place in (
        (stored.secret, of_credential(1, 1)),
        (report.source.webhook_secret or "", of_source_hook(1, report.source.id)),
    ):
        with pytest.raises(SecretKeyError) as raised:
            box.open(value, place)
        assert str(raised.value) == (
            f"The stored secret for {place.label} was sealed for something else; set it again."
        )
    from app.web.keyring import Keyring

    (key,) = Keyring(replace(context, vault=box)).keys()
    assert (key.secret, key.scopes) == (b"the secret of all hooks", ("project:1",))
