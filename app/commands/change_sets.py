"""What Git says of a push: one way for deliveries, their replays and rehearsals."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass, field

from app.checkout import Checkouts, Credential
from app.commands.remote_access import git_access
from app.domain.errors import GitUnavailable, JobyardError
from app.domain.events import BRANCH_PREFIX, Commit, Push
from app.domain.job.records import Source
from app.domain.pushes import Changes, lists_all_commits
from app.domain.repository_file import FileRefused
from app.runtime.disk import WAITED_FOR
from app.runtime.ports import Vault
from app.store.database import Database

log = logging.getLogger(__name__)
NEW_BRANCH = "the branch is new, so there is nothing to compare it with."
NEW_TAG = "a tag is compared with nothing."
UNRELATED = "the pull request and its branch have no commit in common."
NO_DIFFERENCE = "one of the commits before and after the push can't be had."


def needs_git(push: Push, source: Source) -> bool:
    """Whether only Git can say what a push that would build brings to a source's rules."""
    build = source.build
    if push.proposed_for is not None:
        return bool(build.paths)
    if push.before is None or push.changed_files is not None:
        return False
    return bool(build.paths or (build.commit_flags and not lists_all_commits(push, source.repo_key)))


def without_git(push: Push, source: Source) -> Changes:
    """What can be said of a push without asking."""
    if push.before is None and source.build.paths and push.changed_files is None:
        return Changes(unknown=NEW_TAG if push.is_tag else NEW_BRANCH)
    return Changes(push.changed_files)


def access_to(db: Database, vault: Vault, source: Source) -> Credential | None:
    """What fetches a source. Raises InvalidValue for a credential of another host."""
    with db.read() as tx:
        return git_access(tx, vault, source.credential_id, source.url)


@dataclass
class Inquiry:
    """Questions to Git about one push. A server that did not answer once is not waited for again."""

    db: Database
    vault: Vault
    checkouts: Checkouts
    push: Push
    _silent: dict[str, str] = field(default_factory=dict)  # by address: what it failed with

    def changes(self, source: Source) -> Changes:
        """What the rules of a source have to know, as far as Git can say."""
        before, after, base = self.push.before, self.push.after, self.push.proposed_for
        if after is None or not needs_git(self.push, source):
            return without_git(self.push, source)
        try:
            self._fetch(source, after)
            if base is not None:
                return self._proposed(source, base, after)
            assert before is not None  # as Git is needed
            files = self._files(source, before, after) if source.build.paths else None
            flagged = self._flagged(source, before, after)
        except WAITED_FOR:
            raise  # Git can say it when there is room
        except JobyardError as error:
            log.warning("what push %s of %s brings is unknown: %s", after[:12], source.url, error)
            return Changes(unknown=str(error))
        if source.build.paths and files is None:
            return Changes(flagged=flagged, unknown=NO_DIFFERENCE)
        return Changes(files, flagged)

    def _proposed(self, source: Source, base: str, head: str) -> Changes:
        """What a pull request changes: since its commits left the branch that it is for, as its page shows."""
        newest = self.checkouts.fetch(
            source.url,
            sha=None,
            ref=f"{BRANCH_PREFIX}{base}",
            credential=access_to(self.db, self.vault, source),
        )
        common = self.checkouts.merge_base(source.url, newest, head)
        if common is None:
            return Changes(unknown=UNRELATED)
        return Changes(self.checkouts.changed_files(source.url, common, head))

    def text_of(self, source: Source, path: str, most_bytes: int) -> str | None:
        """The text of a file of the pushed commit, None where there is none. Raises a JobyardError where Git can't say,
        and FileRefused for what is no text, or too long.
        """
        after = self.push.after
        assert after is not None
        self._fetch(source, after)
        content = self.checkouts.file_at(source.url, after, path, most_bytes)
        try:
            return None if content is None else content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise FileRefused(f"{path} is not UTF-8 text.") from error

    def containing(self, source: Source, newest: str | None, known: Collection[str]) -> frozenset[str]:
        """Those of the known commits of the branch that hold the pushed one; none if Git can't say."""
        after = self.push.after
        assert after is not None
        try:
            self._fetch(source, after)
            if newest is not None:
                self._fetch(source, newest)
            return frozenset(sha for sha in known if self.checkouts.is_ancestor(source.url, after, sha))
        except WAITED_FOR:
            raise
        except JobyardError as error:
            log.warning("whether %s came late is unknown: %s", after, error)
            return frozenset()

    def _files(self, source: Source, before: str, after: str) -> frozenset[str] | None:
        files = self.checkouts.changed_files(source.url, before, after)
        if files is None:  # a forced push leaves a commit behind that nothing leads to
            self._fetch(source, before)
            files = self.checkouts.changed_files(source.url, before, after)
        return files

    def _flagged(self, source: Source, before: str, after: str) -> tuple[Commit, ...]:
        flags = source.build.commit_flags
        if not flags or lists_all_commits(self.push, source.repo_key):
            return ()
        try:
            found = self.checkouts.flagged_commit(source.url, before, after, flags)
        except JobyardError:
            self._fetch(source, before)
            found = self.checkouts.flagged_commit(source.url, before, after, flags)
        return () if found is None else (Commit(found[0], found[1], ""),)

    def _fetch(self, source: Source, sha: str) -> None:
        if source.url in self._silent:
            raise GitUnavailable(self._silent[source.url])
        credential = access_to(self.db, self.vault, source)
        try:
            self.checkouts.fetch(source.url, sha=sha, ref=self.push.ref, credential=credential)
        except GitUnavailable as error:
            self._silent[source.url] = str(error)
            raise
