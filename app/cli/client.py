"""The public API as the commands call it: every failure is one sentence that names what to do."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import httpx2

from app.config import ClientSettings, read_client_settings
from app.domain.errors import JobyardError, TransientError

if TYPE_CHECKING:
    from app.cli.answers import Listing

PREFIX = "/api/v1"
PAGE = 100  # the most the server gives at once
ANSWER_SECONDS = 30.0
SILENCE_SECONDS = 60.0  # a followed log says something, if only a ping, four times as often
TEXT = {"Accept": "text/plain"}
PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0, 8.0, 8.0)  # between tries to reach a server that went away
CONFIRMING = (
    "confirm with confirm_paused",
    "confirm with --confirm-paused",
)  # the API's field, and the option
QueryValue = str | int | None
Query = Mapping[str, QueryValue]
Result = TypeVar("Result")


class ApiError(JobyardError):
    """The server refused; `str()` is its sentence, `errors` a field and message for each field that is wrong."""

    def __init__(self, status: int, sentence: str, errors: Sequence[Mapping[str, str]] = ()) -> None:
        super().__init__(sentence)
        self.status = status
        self.errors = errors


class Unreachable(TransientError):
    """The server gave no answer."""


@dataclass(frozen=True)
class Piece:
    """Some text of a followed log, and the offset to go on from."""

    text: str
    offset: str


def path(*parts: str | int) -> str:
    """Return the path of an address such as `/projects/acme/jobs`, whatever characters the names have."""
    return "".join(f"/{quote(str(part), safe='')}" for part in parts)


@contextmanager
def open_api(answer_seconds: float = ANSWER_SECONDS) -> Iterator[Api]:
    """Yield the API at JOBYARD_URL. Raises UserError for settings that can't be used."""
    settings = read_client_settings()
    headers = {"Accept": "application/json"}
    if settings.token is not None:
        headers["Authorization"] = f"Bearer {settings.token.get_secret_value()}"
    with httpx2.Client(base_url=settings.url, headers=headers, timeout=answer_seconds) as http:
        yield Api(settings, http)


@dataclass(frozen=True)
class Api:
    """The server's API. Paths are below `/api/v1`; answers are what the JSON says."""

    settings: ClientSettings
    http: httpx2.Client

    def get(self, path: str, **query: Any) -> Any:
        return self._call("GET", path, query)

    def post(self, path: str, body: Any = None, **query: Any) -> Any:
        """Send the body with a key of its own, so that a repeated request makes nothing twice; return the answer."""
        key = {"Idempotency-Key": uuid.uuid4().hex}
        return self._call("POST", path, query, {} if body is None else body, key)

    def patch(self, path: str, body: Any) -> Any:
        return self._call("PATCH", path, {}, body)

    def delete(self, path: str, **query: Any) -> Any:
        return self._call("DELETE", path, query)

    def items(self, path: str, limit: int, **query: Any) -> Listing:
        """Return the newest `limit` of a list, read page by page, in the shape of one page."""
        found: list[Any] = []
        cursor: Any = None
        while True:
            page = self.get(path, limit=min(PAGE, limit - len(found)), cursor=cursor, **query)
            found += page["items"]
            cursor = page["next"]
            if cursor is None or len(found) >= limit:
                return {"items": found, "next": cursor}

    def each(self, path: str) -> list[Any]:
        """Return a whole list."""
        found: list[Any] = self.items(path, 1_000_000)["items"]
        return found

    def text(self, path: str, query: Query) -> str:
        """Return what is no JSON, as text."""
        with self._explained():
            answer = self.http.get(PREFIX + path, params=_given(query), headers={"Accept": "*/*"})
        self._check(answer)
        return answer.text

    def read_bytes(self, path: str, **query: Any) -> Iterator[bytes]:
        """Yield a log as it is now, byte for byte."""
        with (
            self._explained(),
            self.http.stream("GET", PREFIX + path, params=_given(query), headers=TEXT) as answer,
        ):
            self._check(answer)
            yield from answer.iter_bytes()

    def read_end(self, path: str, most: int, **query: Any) -> tuple[str, bool]:
        """Return up to the last `most` bytes of a log as text, and whether that is all of it."""
        with self._explained():
            # Nothing is beyond the end, and the answer says where that is.
            beyond = self.http.get(PREFIX + path, params={**_given(query), "offset": 2**63 - 1}, headers=TEXT)
            self._check(beyond)
            begin = max(int(beyond.headers.get("X-Log-Next-Offset", 0)) - most, 0)
            answer = self.http.get(PREFIX + path, params={**_given(query), "offset": begin}, headers=TEXT)
        self._check(answer)
        return answer.content[-most:].decode(errors="replace"), begin == 0 and len(answer.content) <= most

    def follow(self, path: str, on_lost: Callable[[], None], **query: Any) -> Iterator[Piece]:
        """Yield a log from its beginning until it is over; it goes on where it was when the connection was lost.

        `on_lost` is called each time. Raises Unreachable when the server stays away for about a minute.
        """
        offset: str | None = None
        pauses = iter(PAUSES)
        while True:
            try:
                for event in self._events(path, offset, query):
                    pauses = iter(PAUSES)
                    offset = event.id
                    if event.event == "end":
                        return
                    yield Piece(event.data, event.id)
            except Unreachable:
                if offset is None:
                    raise
            pause = next(pauses, None)
            if pause is None:
                raise Unreachable(f"The server at {self.settings.url} went away while its log was followed.")
            on_lost()
            time.sleep(pause)

    def _events(self, path: str, offset: str | None, query: Query) -> Iterator[httpx2.ServerSentEvent]:
        headers = {} if offset is None else {"Last-Event-ID": offset}
        timeout = httpx2.Timeout(ANSWER_SECONDS, read=SILENCE_SECONDS)
        with (
            self._explained(),
            self.http.sse(PREFIX + path, params=_given(query), headers=headers, timeout=timeout) as events,
        ):
            self._check(events.response)
            yield from events

    def _call(
        self,
        method: str,
        path: str,
        query: Query,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        with self._explained():
            answer = self.http.request(
                method, PREFIX + path, params=_given(query), json=body, headers=dict(headers or {})
            )
        self._check(answer)
        if answer.status_code == 204:
            return None
        try:
            return answer.json()
        except ValueError:
            raise self._stranger() from None

    def _check(self, answer: httpx2.Response) -> None:
        if answer.is_success:
            return
        if answer.status_code == 401:
            raise ApiError(401, self._unwelcome())
        answer.read()
        try:
            problem = answer.json()
            sentence = str(problem["detail"]).replace(*CONFIRMING)
            errors = problem.get("errors", ())
        except (ValueError, KeyError, TypeError, AttributeError):
            raise self._stranger(answer.status_code) from None
        raise ApiError(answer.status_code, sentence, errors)

    def _unwelcome(self) -> str:
        url = self.settings.url
        if self.settings.token is None:
            return (
                f"The server at {url} wants an API token: set JOBYARD_TOKEN "
                "(an administrator makes one on the page Settings, or `jobyard admin token NAME` on its machine)."
            )
        return f"The server at {url} does not know the token in JOBYARD_TOKEN, or it has expired."

    def _stranger(self, status: int = 200) -> ApiError:
        return ApiError(
            status,
            f"What answers at {self.settings.url} (status {status}) is no Jobyard API: check JOBYARD_URL.",
        )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        url = self.settings.url
        try:
            yield
        except httpx2.TimeoutException as error:
            raise Unreachable(f"The server at {url} did not answer in time.") from error
        except httpx2.ConnectError as error:
            raise Unreachable(
                f"No server answers at {url}: start one with `jobyard serve`, or set JOBYARD_URL to where it is."
            ) from error
        except (httpx2.TransportError, httpx2.InvalidURL) as error:
            raise Unreachable(f"The connection to {url} failed ({error}): check JOBYARD_URL.") from error


def persist(call: Callable[[], Result]) -> Result:
    """Return what `call` returns, tried again for a while when the server is away; for what a followed log ends
    with.
    """
    for pause in PAUSES:
        try:
            return call()
        except Unreachable:
            time.sleep(pause)
    return call()


def _given(query: Query) -> dict[str, QueryValue]:
    return {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in query.items()
        if value is not None
    }
