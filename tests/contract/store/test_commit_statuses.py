"""Statuses of commits and webhooks at forges, on either database: who posts one, and what comes of being late."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from app.domain.commit_statuses import Statuses, StatusState, Told
from app.domain.job.records import Job
from app.store import commit_statuses, projects, repository_hooks
from app.store.commit_statuses import Note, Status
from app.store.database import Database
from app.store.repository_hooks import SECRET_CHANGED, RepositoryHook
from tests.support.waiting import together

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
LEASE = NOW + timedelta(minutes=1)
SHA, HOST = "a" * 40, "github.com"
QUEUED = Told(StatusState.PENDING, "Build 7 is queued.", "/builds/7")
DONE = Told(StatusState.SUCCESS, "Build 7 succeeded.", "/builds/7")


def note(db: Database, job: Job, build_id: int | None = 7, noted: str = "", sha: str = SHA) -> None:
    url = "https://github.com/acme/report"
    with db.write() as tx:
        each = Note(job.project_id, job.id, job.name, url, HOST, "github", sha, build_id, 1, noted)
        commit_statuses.note(tx, [each], NOW)


def begin(db: Database) -> None:
    with db.write() as tx:
        for status in commit_statuses.open_ones(tx):
            if status.is_fresh:
                commit_statuses.begin(tx, status, NOW)


def say(db: Database, told: Told, run_id: int | None = None) -> None:
    with db.write() as tx:
        for status in commit_statuses.open_ones(tx):
            commit_statuses.save(tx, status, told, run_id, NOW)


def of_commit(db: Database, job: Job, sha: str = SHA) -> list[Status]:
    with db.read() as tx:
        return list(commit_statuses.of_commit(tx, job.project_id, sha))


def claim(db: Database, at: datetime = NOW, until: datetime = LEASE) -> Status | None:
    with db.write() as tx:
        return commit_statuses.claim(tx, HOST, at, until)


def test_one_of_many_posts_the_newest_that_is_to_be_said(db: Database, job: Job) -> None:
    note(db, job)
    begin(db)
    say(db, QUEUED)
    with db.read() as tx:
        assert commit_statuses.next_due_at(tx) == NOW
        assert commit_statuses.due_hosts(tx, NOW) == [HOST]
    (taken,) = [each for each in together(4, lambda _: claim(db)) if each is not None]
    assert (taken.context, taken.told, taken.tries) == ("jobyard/report", QUEUED, 1)
    say(db, DONE)  # meanwhile
    with db.write() as tx:
        commit_statuses.posted(tx, taken, "", NOW, LEASE)
    again = claim(db)
    assert again is not None
    assert again.told == DONE
    with db.write() as tx:
        commit_statuses.posted(tx, again, "", NOW, LEASE)
        assert commit_statuses.next_due_at(tx) is None
        assert commit_statuses.is_any_open(tx) is None


def test_who_comes_back_late_has_the_newest_posted_once_more(db: Database, job: Job) -> None:
    note(db, job)
    begin(db)
    say(db, QUEUED)
    late = claim(db)
    say(db, DONE)
    second = claim(db, LEASE, LEASE + timedelta(minutes=1))
    assert late is not None
    assert second is not None
    with db.write() as tx:
        commit_statuses.posted(tx, second, "", LEASE, LEASE + timedelta(minutes=2))
        assert commit_statuses.next_due_at(tx) == LEASE + timedelta(minutes=2), "the first may still post"
        commit_statuses.posted(tx, late, "", LEASE, LEASE)
    third = claim(db, LEASE + timedelta(minutes=2), LEASE + timedelta(minutes=3))
    assert third is not None
    assert third.told == DONE


def test_a_skip_takes_no_builds_place_and_a_build_takes_any(db: Database, job: Job) -> None:
    note(db, job, None, "Only main is tracked.")
    (skipped,) = of_commit(db, job)
    assert (skipped.build_id, skipped.noted) == (None, "Only main is tracked.")
    note(db, job, 7)
    note(db, job, None, "CI is off.")
    (built,) = of_commit(db, job)
    assert (built.id, built.build_id) == (skipped.id, 7)


def test_two_parts_and_none(db: Database, job: Job) -> None:
    with db.write() as tx:
        projects.set_commit_statuses(tx, job.project_id, Statuses.TWO)
    note(db, job)
    begin(db)
    assert [each.context for each in of_commit(db, job)] == ["jobyard/report", "jobyard/report/run"]
    note(db, job, 8)
    begin(db)
    assert [each.build_id for each in of_commit(db, job)] == [8, 8]
    with db.write() as tx:
        projects.set_commit_statuses(tx, job.project_id, Statuses.OFF)
    note(db, job, 9, sha="b" * 40)
    begin(db)
    assert of_commit(db, job, "b" * 40) == []


def test_what_is_given_up_stays_so_until_there_is_another_credential(db: Database, job: Job) -> None:
    note(db, job)
    begin(db)
    say(db, QUEUED)
    taken = claim(db)
    assert taken is not None
    with db.write() as tx:
        commit_statuses.give_up(tx, taken, "It may not.", NOW)
    say(db, DONE)
    with db.write() as tx:
        assert commit_statuses.next_due_at(tx) is None
        ((project, status),) = commit_statuses.latest_given_up(tx)
        assert (project, status.said) == ("reports", "It may not.")
        commit_statuses.try_again(tx, job.project_id, LEASE, NOW)
    again = claim(db, LEASE)
    assert again is not None
    assert again.told == DONE


def test_a_limit_puts_off_all_of_its_host(db: Database, job: Job) -> None:
    note(db, job)
    note(db, job, sha="b" * 40)
    begin(db)
    say(db, QUEUED)
    with db.write() as tx:
        commit_statuses.put_off_host(tx, HOST, LEASE)
        assert commit_statuses.next_due_at(tx) == LEASE
        commit_statuses.put_off_host(tx, HOST, NOW)
        assert commit_statuses.next_due_at(tx) == LEASE


def test_a_rerun_is_followed_and_what_is_old_goes(db: Database, job: Job) -> None:
    note(db, job)
    begin(db)
    say(db, DONE, run_id=3)
    with db.write() as tx:
        commit_statuses.follow_rerun(tx, 3, 4, NOW)
    (status,) = of_commit(db, job)
    assert (status.run_id, status.is_open) == (4, True)
    say(db, DONE, run_id=4)
    taken = claim(db)
    assert taken is not None
    with db.write() as tx:
        commit_statuses.posted(tx, taken, "", NOW, LEASE)
        commit_statuses.sweep(tx, NOW)
        assert len(commit_statuses.of_commit(tx, job.project_id, SHA)) == 1
        commit_statuses.sweep(tx, LEASE)
        assert commit_statuses.of_commit(tx, job.project_id, SHA) == []


def test_webhooks_are_kept_and_outdated_by_another_secret(db: Database, job: Job) -> None:
    found = RepositoryHook(
        "github.com/acme/report", "12", "https://ci.example/webhooks/github", "", "200 OK", NOW
    )
    with db.write() as tx:
        repository_hooks.save(tx, job.project_id, found, found, LEASE)
        repository_hooks.save(tx, job.project_id, found, found, LEASE)
        assert repository_hooks.of_project(tx, job.project_id) == {found.repo_key: found}
        assert repository_hooks.in_trouble(tx) == []
        assert repository_hooks.claim(tx, NOW, LEASE) is None
        repository_hooks.outdate(tx, job.project_id)
    with db.read() as tx:
        ((project, hook),) = repository_hooks.in_trouble(tx)
        assert repository_hooks.next_due_at(tx) == NOW
    assert (project, hook.problem, hook.is_outdated) == ("reports", SECRET_CHANGED, True)
    with db.write() as tx:
        assert repository_hooks.claim(tx, NOW, LEASE) == (job.project_id, hook)
        assert repository_hooks.claim(tx, NOW, LEASE) is None, "another server has it"
        repository_hooks.save(tx, job.project_id, found, found, LEASE)
        assert repository_hooks.of_project(tx, job.project_id) == {found.repo_key: hook}, (
            "what was found before the secret changed"
        )
