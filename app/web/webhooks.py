"""`POST /webhooks/{forge}`: verify the raw bytes, record, answer. No work is done here."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any
from urllib.parse import parse_qs, unquote_to_bytes

from pydantic_core import from_json
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from app.domain.errors import InvalidValue, JobyardError
from app.domain.events import one_line
from app.domain.lanes import lane_of
from app.forges.base import Forge, single_header
from app.store import deliveries, projects
from app.store.deliveries import NewDelivery
from app.web.bodies import CutShort, read_at_most
from app.web.problems import Problem, problem_of, problem_response
from app.web.server_context import ServerContext

log = logging.getLogger(__name__)
FORM_TYPE, FORM_BEGINS, FORM_FIELDS = b"application/x-www-form-urlencoded", b"payload=", 10
LIMIT = 25 * 1024 * 1024
INLINE = (
    256 * 1024
)  # bytes to hash up to which it is done on the event loop: faster than handing them to a thread
EFFORT = 2 * 1024 * 1024  # bytes to hash with secrets that nothing speaks for
REFUSED = (
    "No repository with this webhook secret: check the secret on both sides (X-Hub-Signature-256 is needed)."
)


@dataclass(frozen=True)
class Key:
    """An opened webhook secret and all the scopes that share it."""

    secret: bytes
    scopes: tuple[str, ...]


NOBODY = Key(b"signs nothing", ())


class Keyring:
    """The webhook secrets, opened once and read again when projects or jobs change."""

    def __init__(self, server: ServerContext) -> None:
        self._server = server
        self._keys: tuple[Key, ...] | None = None
        self._tracked: Mapping[tuple[str, str], int] = {}
        self._turns = count()

    def forget(self, topics: frozenset[str]) -> None:
        if topics & {"projects", "sources"}:
            self._keys = None

    def keys(self) -> Sequence[Key]:
        known = self._keys
        if known is None:
            with self._server.db.read() as tx:
                sealed = projects.webhook_secrets(tx)
                self._tracked = projects.repositories_in_scope(tx)
            scopes: dict[bytes, list[str]] = {}
            for each in sealed:
                try:
                    secret = self._server.vault.open(each.sealed, each.place).encode()
                except JobyardError as error:  # whoever looks at it is told; the others are in force
                    log.warning("the webhook secret of %s is left out: %s", each.scope, error)
                    continue
                scopes.setdefault(secret, []).append(each.scope)
            known = self._keys = tuple(Key(secret, tuple(names)) for secret, names in scopes.items())
        return known

    def lane(self, repo_keys: Iterable[str], scopes: Sequence[str]) -> str:
        """The lane of a push: what of it these scopes have; empty if none of them has one of these repositories."""
        tracked = self._tracked
        return lane_of(
            (tracked[scope, key], key) for key in repo_keys for scope in scopes if (scope, key) in tracked
        )

    def is_quick(self, body: bytes) -> bool:
        """Whether every secret may be tried, and on the event loop."""
        return len(body) * len(self.keys()) <= INLINE

    def scopes_for(self, forge: Forge, body: bytes, headers: Sequence[tuple[bytes, bytes]]) -> list[str]:
        """The scopes of every secret that signed this body, of those that are worth trying."""
        keys = self.keys() if self.is_quick(body) else self._worth_trying(forge, body, headers)
        return [scope for key in keys if forge.verify(key.secret, body, headers) for scope in key.scopes]

    def _worth_trying(self, forge: Forge, body: bytes, headers: Sequence[tuple[bytes, bytes]]) -> list[Key]:
        """The secrets of the repository that the body names; others only as far as hashing costs next to nothing.

        There is always one, so that an unknown repository takes as long as a wrong signature.
        """
        repo_keys = [key for named in forge.repositories_in(_plain(body)) for key in named.keys]
        likely = [key for key in self.keys() if self.lane(repo_keys, key.scopes)]
        if repo_keys and forge.event_kind(headers) == "push":  # no other secret may speak for it
            return likely or [self._may_know(repo_keys)]
        others = [key for key in self.keys() if key not in likely]
        return [*likely, *others[: max(1 - len(likely), EFFORT // len(body))]] or [NOBODY]

    def _may_know(self, repo_keys: Sequence[str]) -> Key:
        """A secret by which a push of a repository that nobody has may be told as that of one that was renamed.

        First those that have others of its owner; another one each time, as more than one would cost too much.
        """
        owners = {key.rpartition("/")[0] for key in repo_keys}
        known = {scope for scope, key in self._tracked if key.rpartition("/")[0] in owners}
        neighbours = [key for key in self.keys() if not known.isdisjoint(key.scopes)]
        choice = neighbours or self.keys() or [NOBODY]
        return choice[next(self._turns) % len(choice)]


class Answers:
    """Brings what another thread found out to the futures on the event loop, which is woken once for many."""

    def __init__(self) -> None:
        self._given: deque[tuple[asyncio.Future[bool], bool | Exception]] = deque()
        self._woken = False

    def put(self, done: asyncio.Future[bool], result: bool | Exception) -> None:
        self._given.append((done, result))
        if not self._woken:
            self._woken = True
            done.get_loop().call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        self._woken = False  # first: what comes from here on wakes the loop again
        while self._given:
            done, result = self._given.popleft()
            if done.cancelled():
                continue
            if isinstance(result, Exception):
                done.set_exception(result)
            else:
                done.set_result(result)


class Receiver:
    """The endpoint. One instance serves all forges."""

    def __init__(self, server: ServerContext, keyring: Keyring) -> None:
        self._server = server
        self._keyring = keyring
        self._answers = Answers()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._receive(request)
        except Exception as error:
            response = problem_response(problem_of(error))
        await response(scope, receive, send)

    async def _receive(self, request: Request) -> Response:
        forge = self._server.forges.get(request.path_params["forge"])
        if forge is None:
            raise Problem(404, f"There is no webhook for {request.path_params['forge']}.")
        body = await self._body(request)
        headers = request.headers.raw
        verify = self._keyring.scopes_for
        scopes = (
            verify(forge, body, headers)
            if self._keyring.is_quick(body)
            else await run_in_threadpool(verify, forge, body, headers)
        )
        if not scopes:
            self._server.inbox.reject()
            raise Problem(401, REFUSED)
        return await self._accept(forge, body, headers, scopes)

    async def _body(self, request: Request) -> bytes:
        try:
            return await read_at_most(request, LIMIT)
        except CutShort as error:
            log.warning(
                "A webhook call broke off after %d of %s bytes, so nothing of it is kept:"
                " let the sender deliver it again.",
                error.received,
                error.declared,
            )
            raise

    async def _accept(
        self, forge: Forge, body: bytes, headers: Sequence[tuple[bytes, bytes]], scopes: Sequence[str]
    ) -> Response:
        self._server.disk.require_room()
        event, guid = forge.event_kind(headers), forge.delivery_id(headers)
        body = _without_form(body, headers)
        payload = _parse(body)
        if event == "ping" and not guid:
            return JSONResponse({"delivery": None, "status": "pong"})
        if not event or not guid:
            raise Problem(400, "The headers X-GitHub-Event and X-GitHub-Delivery are both needed, once each.")
        repository = lane = ""
        repo_keys: frozenset[str] = frozenset()
        if event == "ping":
            repository = _named(forge, payload)
        if event == "push":
            try:
                reference = forge.repository_of(payload)
            except InvalidValue as error:
                raise Problem(400, str(error)) from error
            repository, repo_keys = reference.full_name, reference.keys
            lane = self._keyring.lane(repo_keys, scopes)
            if not lane:
                self._server.inbox.reject()
                await run_in_threadpool(self._note_unknown, repository, scopes)
                raise Problem(401, REFUSED)
        delivery = NewDelivery(
            forge=forge.name,
            guid=guid,
            event=event,
            ignored=event != "push",
            scopes=tuple(scopes),
            body=body,
            repository=repository,
            received_at=self._server.clock.now(),
            lane=lane,
        )
        is_new = await self._record(delivery)
        if event == "ping":
            return JSONResponse({"delivery": guid, "status": "pong"})
        if event != "push":
            status = "ignored" if is_new else "duplicate"
            return JSONResponse({"delivery": guid, "status": status}, 202 if is_new else 200)
        if not is_new:
            guid, is_new = await run_in_threadpool(self._known_already, delivery, repo_keys)
        status = "accepted" if is_new else "duplicate"
        return JSONResponse({"delivery": guid, "status": status}, 202 if is_new else 200)

    async def _record(self, delivery: NewDelivery) -> bool:
        """Committed to disk when this returns."""
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._server.inbox.put(delivery, lambda result: self._answers.put(done, result))
        return await done

    def _note_unknown(self, repository: str, scopes: Sequence[str]) -> None:
        """For the project's people; the caller is told what anybody with a wrong secret is told."""
        name = one_line(repository)[:200]
        try:
            with self._server.db.write() as tx:
                known = [projects.with_id(tx, each) for each in sorted(projects.projects_of(tx, scopes))]
                for project in known:
                    projects.count_unknown_repository(tx, project.id, name, self._server.clock.now())
        except JobyardError as error:
            log.warning("A push of the unknown repository %s was not counted: %s", name, error)
            return
        for project in known:
            log.warning(
                "A push of %s has the right secret of project %s, but nothing there has this repository:"
                " was it renamed or transferred?",
                name,
                project.name,
            )

    def _known_already(self, delivery: NewDelivery, repo_keys: Iterable[str]) -> tuple[str, bool]:
        """What a call is recorded as whose id is known, and whether there is something to process.

        All hooks of a repository are told of an event by one id. So what another hook's secret has not verified is
        recorded beside it; and a repeat of what failed is processed once more.
        """
        guid, left = delivery.guid, set(delivery.scopes)
        while True:
            with self._server.db.write() as tx:
                known = deliveries.find(tx, guid, delivery.forge)
                left -= set(known.scopes)
                lane = self._keyring.lane(repo_keys, sorted(left))
                if not lane:
                    if known.status == "failed":
                        deliveries.reopen(tx, known.id)
                    return guid, known.status == "failed"
            guid = f"{guid}:{min(left)}"
            beside = replace(delivery, guid=guid, scopes=tuple(sorted(left)), lane=lane)
            if deliveries.record(self._server.db, [beside]):
                return guid, True


def _plain(body: bytes) -> bytes:
    """A body that nobody has verified yet, so that what it names can be read in it."""
    return unquote_to_bytes(body.replace(b"+", b" ")) if body.startswith(FORM_BEGINS) else body


def _without_form(body: bytes, headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """The JSON of a body that came as a form with the field `payload`; any other body as it is."""
    if body.startswith(b"{"):
        return body
    kind = (single_header(headers, b"content-type") or b"").partition(b";")[0].strip().lower()
    if kind != FORM_TYPE and not body.startswith(FORM_BEGINS):
        return body
    try:
        fields = parse_qs(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=FORM_FIELDS)
    except ValueError as error:
        raise Problem(400, "The form can't be read: it is not UTF-8, or has too many fields.") from error
    if len(fields.get("payload", ())) != 1:
        raise Problem(400, "A form must have the field payload, once, with the event as JSON.")
    return fields["payload"][0].encode()


def _named(forge: Forge, payload: object) -> str:
    """The repository a ping is about; one of an organisation is about none."""
    try:
        return forge.repository_of(payload).full_name
    except InvalidValue:
        return ""


def _parse(body: bytes) -> Any:
    try:
        return from_json(body)
    except ValueError as error:
        raise Problem(
            400, "The body is not JSON: set the webhook's content type to application/json."
        ) from error
