"""One request over HTTP to a place that a repository names: only to addresses that were looked at, no redirects."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from app.checkout.addresses import addresses_of
from app.checkout.command import GitStopped, StopSignal
from app.checkout.failures import FetchRefused
from app.domain.errors import GitUnavailable

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")
SILENCE_SECONDS = 30.0
_LOOKED_EVERY_SECONDS = 0.2  # for a request to stop
_PORTS = {"https": 443, "http": 80}


@contextmanager
def asked(
    method: str, url: str, what: str, allow: frozenset[str], headers: Mapping[str, str], body: Any = None
) -> Iterator[httpx2.Response]:
    """Yield the answer, whose body is still coming, for the caller to look at its status; `what` says in errors
    whose it is.

    Raises FetchRefused for an address that is not allowed, and GitUnavailable where nobody answers.
    """
    import httpx2  # 4 MB, which few repositories need

    try:
        target = httpx2.URL(url)
    except httpx2.InvalidURL:
        target = httpx2.URL("")
    if target.scheme not in _PORTS or target.scheme not in allow or target.userinfo or not target.host:
        raise FetchRefused(f"{what} is at an address that is not allowed: JOBYARD_GIT_ALLOW says which are.")
    port = target.port or _PORTS[target.scheme]
    address = addresses_of(what, target.host, port)[0]
    pinned = target.copy_with(host=address)
    own = {"Host": target.netloc.decode(), "Accept-Encoding": "identity"}
    names = {"sni_hostname": target.raw_host.decode()}
    try:
        with (
            httpx2.Client(verify=_trust(), timeout=SILENCE_SECONDS, trust_env=False) as client,
            client.stream(
                method,
                pinned,
                json=body,
                headers={**headers, **own},
                extensions=names,
                follow_redirects=False,
            ) as answer,
        ):
            yield answer
    except (httpx2.HTTPError, ValueError) as error:
        raise GitUnavailable(f"{what} could not be had: {type(error).__name__}.") from None


@cache
def _trust() -> ssl.SSLContext:
    """Return what this machine trusts, read once: that takes a tenth of a second, and files come by the hundred."""
    return ssl.create_default_context()


def unless_stopped(call: Callable[[], T], should_stop: StopSignal | None) -> T:
    """Return what the call returns. Raises GitStopped soon after the signal; the call then goes on, for nobody."""
    if should_stop is None:
        return call()
    called: Future[T] = Future()

    def work() -> None:
        try:
            called.set_result(call())
        except BaseException as error:
            called.set_exception(error)

    threading.Thread(target=work, name="asking", daemon=True).start()
    while not wait([called], _LOOKED_EVERY_SECONDS).done:
        if should_stop.is_set():
            raise GitStopped
    return called.result()
