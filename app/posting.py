"""One message to an address on the web, in the form that Slack and its like take.

The address is a secret: no error carries it, no redirect is followed, and nothing of the answer but its status is read.
"""

from __future__ import annotations

import asyncio
import logging

import httpx2

from app.domain.errors import Conflict, TransientError

TIME_LIMIT_SECONDS = 10.0
_LATER = {408, 425, 429}
logging.getLogger("httpx2").setLevel(logging.WARNING)  # it would log each address


class NotDelivered(TransientError):
    """The address did not take the message; it may take it later."""


def post_message(url: str, text: str, key: str) -> str:
    """POST `{"text": text}` with the key as `Idempotency-Key`; returns a sentence.

    Raises NotDelivered, or Conflict for what trying again does not change.
    """
    try:
        status = asyncio.run(_post(url, text, key))
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


async def _post(url: str, text: str, key: str) -> int:
    async with (
        asyncio.timeout(TIME_LIMIT_SECONDS),
        httpx2.AsyncClient(timeout=TIME_LIMIT_SECONDS, follow_redirects=False, trust_env=True) as client,
        client.stream("POST", url, json={"text": text}, headers={"Idempotency-Key": key}) as answer,
    ):
        return answer.status_code


def _kind(error: Exception) -> str:
    """What went wrong, without the error's own words, which may name the address."""
    match error:
        case httpx2.ConnectError():
            return "no connection"
        case httpx2.ProtocolError():
            return "what answers there does not speak HTTP"
        case _:
            return "the connection was lost"
