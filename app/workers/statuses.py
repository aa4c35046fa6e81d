"""Statuses of commits: told anew as what they follow goes on, and posted at their forges, the newest of each.

A post is outside of any transaction, and what it takes is held in the row: a server that dies between a post and its
record posts once more. Of each host one status is posted at a time, so that a forge that hangs holds up its own alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from urllib.parse import urlsplit

from app.commands.app_tokens import AppTokens
from app.commands.forge_access import ForgeAccess, NoAccess, forge_access
from app.domain.commit_statuses import (
    BuildFacts,
    CommitStatus,
    RunFacts,
    StatusState,
    Told,
    of_part,
    shortened,
)
from app.domain.errors import Conflict, JobyardError, TransientError
from app.domain.http import HttpAnswer, HttpRequest, NoAnswer, NotAllowed, NotAnAddress
from app.domain.posting import given_up, is_in_vain, next_try
from app.forges.api import ForgeApi, Later, Moved, Outcome, Refused, Taken
from app.runtime.ports import Clock, Vault
from app.store import commit_facts, commit_statuses, projects
from app.store.commit_statuses import Status
from app.store.database import Database, StoreUnavailable, Tx

log = logging.getLogger(__name__)
POSTING_TAKES_AT_MOST = timedelta(minutes=1)  # longer than a post may take; then another server may try
FAULT = "Jobyard failed while posting the status; the server's log has more."
WITHOUT_CHECKS = "github"  # the kind of forge whose API takes statuses of a GitHub App
ELSEWHERE = "has the repository at another address by now: change it in the job."
Send = Callable[[HttpRequest], HttpAnswer]
Give = Callable[[str, Callable[[], None]], object]


def at_once(_host: str, post: Callable[[], None]) -> None:
    post()


@dataclass(frozen=True)
class StatusWorker:
    """`send` reaches forges; `give` has a host's statuses posted, in a thread of their own where there are threads.

    Without a `public_url` statuses have no link: nobody knows how this server is called from there.
    """

    db: Database
    clock: Clock
    vault: Vault
    apis: Mapping[str, ForgeApi]
    send: Send
    public_url: str | None
    give: Give = at_once
    tokens: AppTokens | None = None  # of GitHub Apps
    tail: Callable[[Status], Sequence[str]] = (
        lambda _status: ()
    )  # the last lines of the log that one is about

    def step(self) -> bool:
        """Tell what is new, and post what is due; True if there was anything."""
        told = self._tell()
        with self.db.read() as tx:
            hosts = commit_statuses.due_hosts(tx, self.clock.now())
        for host in hosts:
            self.give(host, partial(self._post_all, host))
        return told or bool(hosts)

    def _tell(self) -> bool:
        with self.db.read() as tx:
            found = commit_statuses.open_ones(tx)
            fresh = [status for status in found if status.is_fresh]
            changes = [] if fresh else _changes(tx, found)
        if not fresh and not changes:
            return False
        with self.db.write() as tx:
            now = self.clock.now()
            for status in fresh:
                commit_statuses.begin(tx, status, now)
            for status, told, run_id in _changes(tx, commit_statuses.open_ones(tx)) if fresh else changes:
                commit_statuses.save(tx, status, told, run_id, now)
        return True

    def _post_all(self, host: str) -> None:
        while self._post_next(host):
            pass

    def _post_next(self, host: str) -> bool:
        now = self.clock.now()
        with self.db.write() as tx:
            status = commit_statuses.claim(tx, host, now, now + POSTING_TAKES_AT_MOST)
        if status is None:
            return False
        try:
            outcome, name, is_elsewhere = self._post(status)
        except StoreUnavailable:
            raise
        except (
            NoAccess
        ) as error:  # as it is where nobody wants statuses: nothing that the log has to tell each time
            with self.db.write() as tx:
                commit_statuses.give_up(tx, status, str(error), now)
            return True
        except NoAnswer as error:
            outcome, name, is_elsewhere = Later(f"The API of {host} {error}.", is_for_all=True), "", False
        except (NotAllowed, NotAnAddress) as error:
            sentence = f"The API of {host} {error}: look at the credential's api_url."
            outcome, name, is_elsewhere = Refused(sentence), "", False
        except TransientError as error:
            outcome, name, is_elsewhere = Later(str(error)), "", False
        except JobyardError as error:
            outcome, name, is_elsewhere = Refused(str(error)), "", False
        except Exception:
            log.exception("the status %s of %s could not be posted", status.context, status.sha)
            outcome, name, is_elsewhere = Later(FAULT), "", False
        self._conclude(status, outcome, f"{name} {ELSEWHERE}" if is_elsewhere else "")
        return True

    def _post(self, status: Status) -> tuple[Outcome, str, bool]:
        """What came of it, the forge's name, and whether the repository is at another address."""
        with self.db.read() as tx:
            found = forge_access(tx, self.vault, self.apis, status.project_id, status.url, status.forge)
        if found.app is None:
            return self._ask(found, status)
        assert self.tokens is not None  # where there are Apps
        found = replace(found, access=replace(found.access, secret=self.tokens(found.app, status.url)))
        asked = self._ask(found, status)
        if not (isinstance(asked[0], Refused) and asked[0].is_for_all):
            return asked
        instead = self._ask(replace(found, kind=WITHOUT_CHECKS), status)  # it may not show checks
        return asked if isinstance(instead[0], Refused) else instead

    def _ask(self, found: ForgeAccess, status: Status) -> tuple[Outcome, str, bool]:
        api, now = self.apis[found.kind], self.clock.now()
        request = api.status(found.access, found.repository, status.sha, self._said(status))
        outcome = api.status_outcome(self.send(request), now)
        if not isinstance(outcome, Moved):
            return _of_credential(outcome, found), api.name, False
        if not _is_same_server(outcome.url, found.access.url):
            raise Conflict(f"{api.name} {ELSEWHERE}")
        outcome = api.status_outcome(self.send(replace(request, url=outcome.url)), now)
        if isinstance(outcome, Moved):
            raise Conflict(f"{api.name} {ELSEWHERE}")
        return _of_credential(outcome, found), api.name, True

    def _said(self, status: Status) -> CommitStatus:
        told = status.told
        assert told is not None  # what is due has been told
        link = f"{self.public_url}{told.page}" if self.public_url and told.page else None
        is_final = told.state.is_final
        return CommitStatus(
            status.context,
            told.state,
            shortened(told.sentence),
            link,
            sentence=told.sentence,
            follows=_followed(status),
            is_built=status.build_id is not None,
            lines=self.tail(status) if is_final and told.state is not StatusState.SUCCESS else (),
            posted_as=status.posted_as or "",
        )

    def _conclude(self, status: Status, outcome: Outcome, said: str) -> None:
        now = self.clock.now()
        with self.db.write() as tx:
            match outcome:
                case Taken():
                    again_at = now + POSTING_TAKES_AT_MOST
                    commit_statuses.posted(tx, status, said, now, again_at, outcome.posted_as or None)
                case Later() if not is_in_vain(status.failing_since, now):
                    due_at = next_try(status.tries, now, outcome.at)
                    commit_statuses.put_off(tx, status, outcome.sentence, now, due_at)
                    if outcome.is_for_all:
                        commit_statuses.put_off_host(tx, status.host, due_at)
                case Later():
                    commit_statuses.give_up(tx, status, given_up(outcome.sentence), now)
                case Refused():
                    commit_statuses.give_up(tx, status, outcome.sentence, now)
        if isinstance(outcome, Later | Refused):
            log.warning("the status %s of %s is not posted: %s", status.context, status.sha, outcome.sentence)


def _followed(status: Status) -> str:
    """What is started again where somebody wants the status anew."""
    if status.run_id is not None:
        return f"run {status.run_id}"
    return f"build {status.build_id}" if status.build_id is not None else ""


def _of_credential(outcome: Outcome, found: ForgeAccess) -> Outcome:
    """What is about the credential names it."""
    if isinstance(outcome, Refused) and outcome.is_for_all:
        return replace(outcome, sentence=f"{outcome.sentence} It is credential {found.credential}.")
    return outcome


def _is_same_server(url: str, other: str) -> bool:
    """Whether the credential may be sent there too: to no other server than it was."""
    here, there = urlsplit(url), urlsplit(other)
    return (here.scheme, here.netloc) == (there.scheme, there.netloc)


def _changes(tx: Tx, found: Sequence[Status]) -> list[tuple[Status, Told, int | None]]:
    """What those say now that say something else, or are to be posted after all, and the run they follow."""
    builds = commit_facts.builds(tx, sorted({each.build_id for each in found if each.build_id}))
    runs = commit_facts.runs(tx, sorted({each.run_id for each in found if each.run_id}))
    changes = []
    for status in found:
        if status.is_fresh:
            continue
        told, run_id = _told(tx, status, builds, runs)
        is_waiting = (
            status.due_at is not None or status.is_given_up or status.posted_version == status.version
        )
        if told != status.told or run_id != status.run_id or told.state.is_final or not is_waiting:
            changes.append((status, told, run_id))
    return changes


def _told(
    tx: Tx, status: Status, builds: Mapping[int, BuildFacts], runs: Mapping[int, RunFacts]
) -> tuple[Told, int | None]:
    if status.build_id is None:
        is_refused = commit_facts.is_refused(tx, status.decision_id)
        state = StatusState.FAILURE if is_refused else StatusState.SUCCESS
        return Told(state, status.noted, _decisions_page(tx, status)), None
    if status.run_id in runs:
        assert status.run_id is not None
        return runs[status.run_id].told, status.run_id
    build = builds.get(status.build_id)
    if build is None or status.run_id is not None:
        sentence = f"What became of build {status.build_id} is not known any more: it was removed."
        is_known = status.told is not None and status.told.state.is_final
        return (status.told if is_known and status.told else Told(StatusState.ERROR, sentence)), None
    after, run_id = _after(tx, build, status.job_id)
    told = of_part(status.part, build, after)
    return told, run_id if after is not None and told == after else None


def _after(tx: Tx, build: BuildFacts, job_id: int | None) -> tuple[Told | None, int | None]:
    """What a build that succeeded led to for a job, and the run that it started."""
    if job_id is None or build.told.state is not StatusState.SUCCESS:
        return None, None
    decided = commit_facts.decided(tx, build.id, job_id)
    if decided is not None:
        sentence, run_id = decided
        deployed = Told(StatusState.SUCCESS, sentence, build.told.page)
    else:
        found = commit_facts.deployment(tx, build.id, job_id)
        if found is None:
            return None, None
        deployment, run_id = found
        deployed = deployment.told
    if run_id is None or deployed.state is not StatusState.SUCCESS:
        return deployed, None
    run = commit_facts.runs(tx, [run_id]).get(run_id)
    return (deployed, None) if run is None else (run.told, run_id)


def _decisions_page(tx: Tx, status: Status) -> str:
    """Where the decision is shown that nothing is built."""
    if status.job_id is None:
        return ""
    return f"/projects/{projects.with_id(tx, status.project_id).name}/jobs/{status.name}/decisions"
