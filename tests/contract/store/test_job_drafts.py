"""Drafts of new jobs, on either database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.domain.errors import NotFound
from app.store import job_drafts
from app.store.database import Database

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def test_a_draft_is_its_owner_s_and_is_removed_once(db: Database) -> None:
    with db.write() as tx:
        first = job_drafts.create(tx, "user 1", lambda draft_id: f"sealed {draft_id}", NOW)
        second = job_drafts.create(tx, "user 2", str, NOW)
    with db.write() as tx:
        assert job_drafts.content(tx, first, "user 1") == f"sealed {first}"
        with pytest.raises(NotFound, match="no such draft"):
            job_drafts.content(tx, second, "user 1")
        job_drafts.change(tx, second, "user 1", "of another", NOW)
        assert job_drafts.content(tx, second, "user 2") == str(second)
        assert not job_drafts.remove(tx, second, "user 1")
        assert job_drafts.remove(tx, first, "user 1")
        assert not job_drafts.remove(tx, first, "user 1")


def test_what_was_changed_last_is_kept(db: Database) -> None:
    with db.write() as tx:
        made = [job_drafts.create(tx, "user 1", str, NOW + timedelta(days=day)) for day in range(3)]
        job_drafts.change(tx, made[0], "user 1", "anew", NOW + timedelta(days=9))
        assert job_drafts.sweep(tx, NOW + timedelta(days=2)) == 1
    with db.read() as tx:
        assert job_drafts.content(tx, made[0], "user 1") == "anew"
        with pytest.raises(NotFound):
            job_drafts.content(tx, made[1], "user 1")
