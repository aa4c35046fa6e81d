"""Posts one message to an address on the web, in the form that Slack and its like take.

The address is a secret: no error carries it, no redirect is followed, and nothing of the answer but its status is
read. It may be anywhere but at a link-local address (`app.domain.addresses`) or one that `Egress` leaves out: its
name is resolved here, every address it has is checked, and the connection goes to one of those. Through a proxy,
which resolves names itself, only the addresses that the name has here are checked.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from urllib.request import getproxies, proxy_bypass

import httpx2

from app.domain.addresses import is_refused
from app.domain.egress import Egress
from app.domain.errors import Conflict, TransientError

TIME_LIMIT_SECONDS = 10.0
_LATER = {408, 425, 429}
_PORTS = {"https": 443, "http": 80}
logging.getLogger("httpx2").setLevel(logging.WARNING)  # it would log each address


class NotDelivered(TransientError):
    """The address did not take the message; it may take it later."""


def post_message(egress: Egress, url: str, text: str, key: str) -> str:
    """POST `{"text": text}` with the key as `Idempotency-Key`; returns a sentence.

    Raises NotDelivered, or Conflict for what trying again does not change.
    """
    try:
        status = asyncio.run(_post(egress, url, text, key))
    except (TimeoutError, httpx2.TimeoutException):
        raise NotDelivered(f"The address did not answer in {TIME_LIMIT_SECONDS:g} s.") from None
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol, ValueError):
        raise Conflict(
            "The address is none that a message can be sent to: give the node another url."
        ) from None
    except (httpx2.HTTPError, OSError) as error:
        raise NotDelivered(f"The address can't be reached: {_kind(error)}.") from None
    if 200 <= status < 300:
        return f"The address took it with status {status}."
    if status >= 500 or status in _LATER:
        raise NotDelivered(f"The address answered with status {status}.")
    raise Conflict(f"The address refused the message with status {status}: look at the node's url.")


async def _post(egress: Egress, url: str, text: str, key: str) -> int:
    target = httpx2.URL(url)
    if target.scheme not in _PORTS:
        raise httpx2.UnsupportedProtocol(target.scheme)
    proxy = _proxy_for(target)
    async with asyncio.timeout(TIME_LIMIT_SECONDS):
        try:
            addresses = await _addresses(egress, target)
        except socket.gaierror:
            if proxy is None:
                raise
            addresses = []  # the proxy may know names that nobody knows here
        patience = httpx2.Timeout(TIME_LIMIT_SECONDS, connect=TIME_LIMIT_SECONDS / max(len(addresses), 1))
        # With a transport of its own the client doesn't look for a proxy by the address.
        transport = httpx2.AsyncHTTPTransport(proxy=proxy)
        async with httpx2.AsyncClient(timeout=patience, transport=transport) as client:
            send = partial(_send, client, target, {"text": text}, key)
            return await send() if proxy else await _send_to_first(send, addresses)


async def _addresses(egress: Egress, target: httpx2.URL) -> list[str]:
    """Return the addresses of the host. Raises Conflict if one of them is refused, `gaierror` if there is none."""
    found = await asyncio.get_running_loop().getaddrinfo(
        target.host, target.port or _PORTS[target.scheme], type=socket.SOCK_STREAM
    )
    addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
    if any(is_refused(ip_address(each)) for each in addresses):
        raise Conflict(
            "The address is link-local, where clouds keep their machines' credentials and nobody takes messages:"
            " give the node another url."
        )
    if reach := next(filter(None, (egress.leaves_out(ip_address(each)) for each in addresses)), None):
        raise Conflict(
            f"The address counts as {reach}, which is none of {egress} (JOBYARD_EGRESS): give the node another url."
        )
    return addresses


async def _send_to_first(send: Callable[[str], Awaitable[int]], addresses: Sequence[str]) -> int:
    """Send to the first address that a connection can be made to, and return the status of the answer."""
    *others, last = addresses
    for address in others:
        with suppress(httpx2.ConnectError, httpx2.ConnectTimeout):
            return await send(address)
    return await send(last)


async def _send(
    client: httpx2.AsyncClient, target: httpx2.URL, body: Mapping[str, str], key: str, address: str = ""
) -> int:
    """Return the status of the answer; with an `address` it is asked there, though under the target's own name."""
    where = target.copy_with(host=address) if address else target
    headers = {"Idempotency-Key": key, "Host": target.netloc.decode()}
    name = {"sni_hostname": target.raw_host.decode()} if address else {}
    async with client.stream("POST", where, json=body, headers=headers, extensions=name) as answer:
        return answer.status_code


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
