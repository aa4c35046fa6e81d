"""A bare copy of one repository that only ever grows.

    DATA/…/<key>/mirror.git          the objects
    DATA/…/<key>/mirror.lock         held while it's written; readers need no lock, as objects never change
    DATA/…/<key>/mirror.unfinished   there while it's written, and after a writer that did not end well

A commit counts as fetched when `refs/fetched/<who>/<sha>` exists: Git writes a ref only after it has checked
that everything below the commit is there, so a killed fetch never looks finished. `<who>` is the credential,
so that a commit fetched with one is not given to somebody who knows its name but may not see it.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from app.checkout.addresses import way_to
from app.checkout.command import GitCommand, GitStopped, Output, TimeLimitPassed
from app.checkout.credential import Access
from app.checkout.failures import (
    CommitNotFound,
    MirrorDamaged,
    RefNotFound,
    disk_trouble,
    explain,
    is_damage,
    is_no_such_ref,
)
from app.checkout.locks import locked, sweep, unfinished
from app.checkout.urls import Remote
from app.domain.errors import GitUnavailable
from app.domain.events import BRANCH_PREFIX

REMEMBERED = 200
"""Fetched commits that are remembered as such per credential; an older one is simply asked for again."""


@dataclass(frozen=True, slots=True)
class Mirror:
    folder: Path
    git: GitCommand

    @property
    def git_dir(self) -> Path:
        return self.folder / "mirror.git"

    def fetch(self, remote: Remote, sha: str, ref: str | None, access: Access) -> str:
        """Bring one object here and return the commit it is or, for an annotated tag, points to."""
        with self._writing(remote.url) as lock:
            try:
                return self._fetch(remote, sha, ref, access, lock)
            except MirrorDamaged:
                self._discard()
                self._make(lock)
            try:
                return self._fetch(remote, sha, ref, access, lock)
            except MirrorDamaged as damage:
                raise explain(
                    remote.url, str(damage), access.secrets, self.git.max_file_bytes, self.folder
                ) from None

    def resolve(self, remote: Remote, ref: str, access: Access) -> str:
        """Ask the remote which object a ref (full name) points to."""
        found = self.listed(remote, [ref], access)
        if ref in found:
            return found[ref]
        kind, _, name = ref.removeprefix("refs/").partition("/")
        word = {"heads": "branch", "tags": "tag"}.get(kind, "ref")
        raise RefNotFound(f"The {word} {name} does not exist in {remote.url}.")

    def listed(self, remote: Remote, refs: Sequence[str], access: Access) -> dict[str, str]:
        """Ask the remote which objects refs (full names) point to; those that are not there are left out."""
        said = self._talk(remote, access, (), "ls-remote", "--quiet", "--", remote.url, *refs)
        if not said.ok:
            raise explain(remote.url, said.stderr, access.secrets, self.git.max_file_bytes, self.folder)
        found = (line.partition("\t") for line in said.line.splitlines())
        # Git matches tails: refs/heads/main is in refs/heads/refs/heads/main too
        return {name: sha for sha, _, name in found if name in refs}

    def branches(self, remote: Remote, access: Access) -> tuple[str | None, list[str]]:
        """Ask the remote for its default branch, None where it names none, and for all its branches."""
        which = ("HEAD", f"{BRANCH_PREFIX}*")
        said = self._talk(remote, access, (), "ls-remote", "--quiet", "--symref", "--", remote.url, *which)
        if not said.ok:
            raise explain(remote.url, said.stderr, access.secrets, self.git.max_file_bytes, self.folder)
        default, names = None, []
        for line in said.line.splitlines():
            what, _, ref = line.partition("\t")
            if ref == "HEAD" and what.startswith(f"ref: {BRANCH_PREFIX}"):
                default = what.removeprefix(f"ref: {BRANCH_PREFIX}")
            elif ref.startswith(BRANCH_PREFIX):
                names.append(ref.removeprefix(BRANCH_PREFIX))
        return default if default in names else None, names

    def discard_damaged(self, url: str) -> None:
        with self._writing(url):
            self._discard()

    def repack(self, unreachable: str) -> None:
        """Make one pack of all, without what has been unreachable since before that time. Raises GitUnavailable."""
        steps = (
            ("repack", "-A", "-d", "-q", f"--unpack-unreachable={unreachable}"),
            ("prune", f"--expire={unreachable}"),
        )
        with self._writing(str(self.folder)) as lock:
            for arguments in steps:
                done = self.git(*arguments, git_dir=self.git_dir, held=[lock], is_bounded=False)
                if not done.ok:
                    raise GitUnavailable(f"{self.folder} can't be repacked: {done.stderr.strip()}")

    def read(self, *arguments: str) -> Output:
        return self.git(*arguments, git_dir=self.git_dir, is_bounded=False)

    @contextmanager
    def _writing(self, url: str) -> Iterator[int]:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        patience = 2 * self.git.orphan_limit_seconds
        try:
            with (
                locked(self.folder / "mirror.lock", patience, self.git.is_stopped) as lock,
                unfinished(self.folder / "mirror.unfinished") as was_left,
            ):
                if was_left:
                    sweep(self.git_dir)
                self._make(lock)
                yield lock
        except TimeoutError:
            if self.git.is_stopped():
                raise GitStopped from None
            raise GitUnavailable(
                f"Another fetch of {url} has not ended within {patience:.0f} seconds."
            ) from None
        except OSError as error:
            raise disk_trouble(error, self.folder) from error

    def _make(self, lock: int) -> None:
        """Make the mirror aside and rename it, so that half a mirror never has the mirror's name."""
        if self.git_dir.exists():
            return
        with tempfile.TemporaryDirectory(dir=self.folder, prefix="new-") as aside:
            made = Path(aside) / "mirror.git"
            result = self.git("init", "--quiet", "--bare", "--template=", "--", str(made), held=[lock])
            if not result.ok:
                raise GitUnavailable(
                    f"A Git mirror could not be made in JOBYARD_DATA: {result.stderr.strip()}"
                )
            made.rename(self.git_dir)

    def _discard(self) -> None:
        shutil.rmtree(self.git_dir, ignore_errors=True)

    def _fetch(self, remote: Remote, sha: str, ref: str | None, access: Access, lock: int) -> str:
        proof = f"refs/fetched/{access.who}/{sha}"
        if not (self.git_dir / proof).exists():
            if self._came_by_another(access.who, sha):
                self._prove_access(remote, access)
            fetched = self._get(remote, access, lock, f"+{sha}:{proof}")
            if not fetched.ok:
                self._fetch_around(remote, sha, ref, access, lock)
            self._forget_oldest(access.who)
        peeled = self.read("rev-parse", "--verify", "--quiet", f"{sha}^{{commit}}")
        if not peeled.ok:
            if self.read("cat-file", "-e", sha).ok:
                raise CommitNotFound(f"{sha[:12]} in {remote.url} is not a commit.")
            raise MirrorDamaged(peeled.stderr)
        return peeled.line

    def _fetch_around(self, remote: Remote, sha: str, ref: str | None, access: Access, lock: int) -> None:
        """Fetch by way of the ref that should lead to the object, as servers may refuse to give one by its name."""
        seen = f"refs/seen/{access.who}"
        refspec = f"+{ref}:{seen}/one" if ref else f"+refs/heads/*:{seen}/all/*"
        fetched = self._get(remote, access, lock, refspec, "--prune")
        leads = self.read("for-each-ref", "--count=1", f"--contains={sha}", seen)
        if not fetched.ok or not leads.ok or not leads.line:
            place = f"; {ref} was forced back or deleted since" if ref else ""
            raise CommitNotFound(f"The commit {sha[:12]} is not in {remote.url}{place}.")
        self.git("update-ref", f"refs/fetched/{access.who}/{sha}", sha, git_dir=self.git_dir, held=[lock])

    def _get(self, remote: Remote, access: Access, lock: int, refspec: str, *options: str) -> Output:
        """Fetch one refspec; every failure but "no such object or ref" raises."""
        fetched = self._talk(
            remote,
            access,
            (lock,),
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            *options,
            "--",
            remote.url,
            refspec,
            git_dir=self.git_dir,
        )
        if fetched.ok or is_no_such_ref(fetched.stderr):
            return fetched
        if is_damage(fetched.stderr):
            raise MirrorDamaged(fetched.stderr)
        raise explain(remote.url, fetched.stderr, access.secrets, self.git.max_file_bytes, self.folder)

    def _talk(
        self,
        remote: Remote,
        access: Access,
        held: tuple[int, ...],
        *arguments: str,
        git_dir: Path | None = None,
    ) -> Output:
        way_in = replace(access, config=(*access.config, *way_to(remote)))
        try:
            return self.git(*arguments, git_dir=git_dir, transport=remote.transport, access=way_in, held=held)
        except TimeLimitPassed:
            limit = f"{self.git.time_limit_seconds:g}"
            raise GitUnavailable(f"{remote.url} did not answer in full within {limit} seconds.") from None

    def _came_by_another(self, who: str, sha: str) -> bool:
        """Return whether another credential brought the object: Git doesn't ask a server for what is here already."""
        fetched = self.git_dir / "refs" / "fetched"
        others = fetched.exists() and any(entry.name != who for entry in fetched.iterdir())
        return others and self.read("cat-file", "-e", sha).ok

    def _prove_access(self, remote: Remote, access: Access) -> None:
        listed = self._talk(remote, access, (), "ls-remote", "--quiet", "--", remote.url, "HEAD")
        if not listed.ok:
            raise explain(remote.url, listed.stderr, access.secrets, self.git.max_file_bytes, self.folder)

    def _forget_oldest(self, who: str) -> None:
        """Delete the oldest refs beyond a bound, as every fetch reads them all."""
        proofs = list((self.git_dir / "refs" / "fetched" / who).glob("?" * 40))
        if len(proofs) > 2 * REMEMBERED:
            proofs.sort(key=lambda proof: proof.stat().st_mtime_ns)
            for proof in proofs[:-REMEMBERED]:
                proof.unlink()
