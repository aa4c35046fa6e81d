"""`POST /webhooks/{forge}`: verify the raw bytes, record, answer. No work is done here."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace

from pydantic_core import to_json
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from app.domain.errors import InvalidValue, JobyardError
from app.domain.events import PING, PULL_REQUEST, PUSH, one_line
from app.forges.base import Forge, announces, wants_again
from app.forges.generic import NAME, GenericCall
from app.store import deliveries, projects
from app.store.deliveries import NewDelivery
from app.web.bodies import CutShort, read_at_most
from app.web.keyring import Keyring
from app.web.problems import Problem, problem_of, problem_response
from app.web.server_context import ServerContext
from app.web.webhook_bodies import parse, without_form

log = logging.getLogger(__name__)
LIMIT = 25 * 1024 * 1024
REFUSED = "No repository with this webhook secret: check the secret on both sides ({} is needed)."


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
        forge, allowed = self._forge_of(request)
        body = await self._body(request)
        if isinstance(forge, GenericCall):
            forge = replace(forge, body=body)
        headers = request.headers.raw
        verify = self._keyring.scopes_for
        scopes = (
            verify(forge, body, headers)
            if self._keyring.is_quick(body)
            else await run_in_threadpool(verify, forge, body, headers)
        )
        if allowed is not None:
            scopes = [scope for scope in scopes if scope in allowed]
        if not scopes:
            raise await self._refused(forge, body, headers)
        return await self._accept(forge, body, headers, scopes)

    def _forge_of(self, request: Request) -> tuple[Forge, frozenset[str] | None]:
        """Who is expected to call, and whose secrets may prove it, unless it is anybody's. Raises Problem."""
        if "webhook" in request.path_params:
            found = self._keyring.generic_call(request.path_params["webhook"])
            if found is None:
                raise Problem(404, "There is no webhook at this address: look at the page of the project.")
            return found
        name = request.path_params["forge"]
        forge = self._server.forges.get(name)
        if forge is None or name == NAME:
            raise Problem(404, f"There is no webhook for {name}.")
        return forge, None

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

    async def _refused(self, forge: Forge, body: bytes, headers: Sequence[tuple[bytes, bytes]]) -> Problem:
        """Why a call proves nothing: it is another forge's, or has no secret that is known here; it is counted."""
        other = None
        if not announces(forge, headers):
            other = next((each for each in self._server.forges.values() if announces(each, headers)), None)
        if other is not None:
            self._server.inbox.reject((), self._server.clock.now())
            return Problem(401, f"This is a call of {other.about.title}: send it to /webhooks/{other.name}.")
        about = await run_in_threadpool(self._keyring.about, forge, body)
        self._server.inbox.reject(about, self._server.clock.now())
        return Problem(401, REFUSED.format(forge.about.proof_header))

    async def _accept(
        self, forge: Forge, body: bytes, headers: Sequence[tuple[bytes, bytes]], scopes: Sequence[str]
    ) -> Response:
        self._server.disk.require_room()
        event, guid = forge.event_kind(headers), forge.delivery_id(headers)
        body = without_form(body, headers)
        payload = parse(body)
        if event == PING and not guid:
            return JSONResponse({"delivery": None, "status": "pong"})
        if not event or not guid:
            names = f"{forge.about.event_header} and {forge.about.delivery_header}"
            raise Problem(400, f"The headers {names} are both needed, once each.")
        call = NewDelivery(
            forge=forge.name,
            guid=guid,
            event=event,
            ignored=event != PUSH,
            scopes=tuple(scopes),
            body=body,
            repository=_named(forge, payload) if event == PING else "",
            received_at=self._server.clock.now(),
        )
        if event == PUSH or wants_again(event, payload) or self._is_to_build(forge, call, payload):
            return await self._accept_push(forge, replace(call, ignored=False), payload)
        is_new = await self._record(call)
        if event == PING:
            return JSONResponse({"delivery": guid, "status": "pong"})
        status = "ignored" if is_new else "duplicate"
        return JSONResponse({"delivery": guid, "status": status}, 202 if is_new else 200)

    def _is_to_build(self, forge: Forge, call: NewDelivery, payload: object) -> bool:
        """Whether it is a pull request that something here may build. Raises Problem for one that can't be read."""
        if call.event != PULL_REQUEST:
            return False
        try:
            keys = forge.repository_of(payload).keys
            wanted = self._keyring.wants_pull_requests(keys, call.scopes)
            return wanted and forge.parse_pull_request(payload) is not None
        except InvalidValue as error:
            raise _misplaced(forge, error) from error

    async def _accept_push(self, forge: Forge, call: NewDelivery, payload: object) -> Response:
        """Record a delivery for each ref that was pushed, the first under the call's own id."""
        try:
            reference = forge.repository_of(payload)
            parts = forge.parts(payload) if call.event == PUSH else [payload]
        except InvalidValue as error:
            raise _misplaced(forge, error) from error
        lane = self._keyring.lane(reference.keys, call.scopes)
        if not lane:
            self._server.inbox.reject((), self._server.clock.now())
            await run_in_threadpool(self._note_unknown, reference.full_name, call.scopes)
            raise Problem(401, REFUSED.format(forge.about.proof_header))
        call = replace(call, repository=reference.full_name, lane=lane)
        made = [
            replace(
                call,
                guid=f"{call.guid}.{number}" if number else call.guid,
                body=call.body if part is payload else to_json(part),
            )
            for number, part in enumerate(parts)
        ]
        are_new = await asyncio.gather(*map(self._record, made))
        told = [
            (each.guid, True)
            if is_new
            else await run_in_threadpool(self._known_already, each, reference.keys)
            for each, is_new in zip(made, are_new, strict=True)
        ]
        is_new = any(each for _, each in told)
        status = "accepted" if is_new else "duplicate"
        return JSONResponse({"delivery": told[0][0], "status": status}, 202 if is_new else 200)

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


def _misplaced(forge: Forge, error: InvalidValue) -> Problem:
    return Problem(400, f"{error} {forge.about.title} is expected to call this address.")


def _named(forge: Forge, payload: object) -> str:
    """The repository a ping is about; one of an organisation is about none."""
    try:
        return forge.repository_of(payload).full_name
    except InvalidValue:
        return ""
