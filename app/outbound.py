"""Sends one request to a server on the web that somebody named, and to nowhere else.

It may be anywhere but at a link-local address (`app.domain.addresses`) or one that `Egress` leaves out: its name is
resolved here, every address it has is checked, and the connection goes to one of those. Through a proxy, which
resolves names itself, only the addresses that the name has here are checked. No redirect is followed, and no error
has anything of the address or the request in it.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from urllib.request import getproxies, proxy_bypass

import httpx2

from app.domain.addresses import is_refused
from app.domain.egress import Egress
from app.domain.http import HttpAnswer, HttpRequest, NoAnswer, NotAllowed, NotAnAddress

_PORTS = {"https": 443, "http": 80}
logging.getLogger("httpx2").setLevel(logging.WARNING)  # it would log each address


def send(egress: Egress, request: HttpRequest, seconds: float) -> HttpAnswer:
    """Send the request and return the answer, all in so many seconds. Raises NoAnswer, NotAnAddress or NotAllowed."""
    try:
        return asyncio.run(_send_within(egress, request, seconds))
    except (TimeoutError, httpx2.TimeoutException):
        raise NoAnswer(f"did not answer in {seconds:g} s") from None
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol, ValueError):
        raise NotAnAddress("is none that a request can be sent to") from None
    except (httpx2.HTTPError, OSError) as error:
        raise NoAnswer(f"can't be reached: {_kind(error)}") from None


async def _send_within(egress: Egress, request: HttpRequest, seconds: float) -> HttpAnswer:
    target = httpx2.URL(request.url)
    if target.scheme not in _PORTS:
        raise httpx2.UnsupportedProtocol(target.scheme)
    proxy = _proxy_for(target)
    async with asyncio.timeout(seconds):
        try:
            addresses = await _addresses(egress, target)
        except socket.gaierror:
            if proxy is None:
                raise
            addresses = []  # the proxy may know names that nobody knows here
        patience = httpx2.Timeout(seconds, connect=seconds / max(len(addresses), 1))
        # With a transport of its own the client doesn't look for a proxy by the address.
        transport = httpx2.AsyncHTTPTransport(proxy=proxy)
        async with httpx2.AsyncClient(timeout=patience, transport=transport) as client:
            send_to = partial(_send, client, target, request)
            return await send_to() if proxy else await _send_to_first(send_to, addresses)


async def _addresses(egress: Egress, target: httpx2.URL) -> list[str]:
    """Return the addresses of the host. Raises NotAllowed if one of them is refused, `gaierror` if there is none."""
    found = await asyncio.get_running_loop().getaddrinfo(
        target.host, target.port or _PORTS[target.scheme], type=socket.SOCK_STREAM
    )
    addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
    if any(is_refused(ip_address(each)) for each in addresses):
        raise NotAllowed(
            "is link-local, where clouds keep their machines' credentials and nobody takes messages"
        )
    if reach := next(filter(None, (egress.leaves_out(ip_address(each)) for each in addresses)), None):
        raise NotAllowed(f"counts as {reach}, which is none of {egress} (JOBYARD_EGRESS)")
    return addresses


async def _send_to_first(
    send_to: Callable[[str], Awaitable[HttpAnswer]], addresses: Sequence[str]
) -> HttpAnswer:
    """Send to the first address that a connection can be made to."""
    *others, last = addresses
    for address in others:
        with suppress(httpx2.ConnectError, httpx2.ConnectTimeout):
            return await send_to(address)
    return await send_to(last)


async def _send(
    client: httpx2.AsyncClient, target: httpx2.URL, request: HttpRequest, address: str = ""
) -> HttpAnswer:
    """Send it; with an `address` to the server there, though under the target's own name."""
    where = target.copy_with(host=address) if address else target
    # What is compressed might be any size: the body is read as it comes, and `reads` bounds it.
    headers = {"Accept-Encoding": "identity", **request.headers, "Host": target.netloc.decode()}
    name = {"sni_hostname": target.raw_host.decode()} if address else {}
    async with client.stream(
        request.method, where, json=request.json, content=request.body, headers=headers, extensions=name
    ) as answer:
        body = await _beginning(answer, request.reads) if request.reads else b""
        return HttpAnswer(
            answer.status_code, {key.lower(): value for key, value in answer.headers.items()}, body
        )


async def _beginning(answer: httpx2.Response, size: int) -> bytes:
    body = bytearray()
    async for chunk in answer.aiter_raw():
        body += chunk[: size - len(body)]
        if len(body) >= size:
            break
    return bytes(body)


def _proxy_for(target: httpx2.URL) -> str | None:
    """Return the proxy that the environment names for the target, by the rules of curl and its like."""
    proxies = getproxies()
    proxy = proxies.get(target.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(target.host):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _kind(error: Exception) -> str:
    """Say what went wrong without the error's own words, which may name the address."""
    match error:
        case httpx2.ConnectError() | socket.gaierror():
            return "no connection"
        case httpx2.ProtocolError():
            return "what answers there does not speak HTTP"
        case _:
            return "the connection was lost"
