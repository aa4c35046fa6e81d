"""Posts one message to an address on the web: a chat's channel, or of whoever else wants to be told.

The address is a secret: no error carries it, and nothing of the answer is read but its status and when to come again.
Where it may be, and that no redirect is followed, is for `app.outbound` to see to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from app.domain.egress import Egress
from app.domain.errors import Conflict
from app.domain.http import HttpRequest, NoAnswer, NotAllowed, NotAnAddress
from app.domain.notifications import NotTaken
from app.outbound import send

TIME_LIMIT_SECONDS = 10.0
_LATER = {408, 425, 429}


class NotDelivered(NotTaken):
    """The address did not take the message; it may take it later."""


@dataclass(frozen=True)
class Advice:
    """What a sentence says is to be done: with an address of no use, and with one that refuses."""

    replace: str
    look: str


OF_NODE = Advice("give the node another url", "look at the node's url")
OF_TARGET = Advice("give the target another one", "look at the target's address")


def post_message(egress: Egress, url: str, text: str, key: str) -> str:
    """POST `{"text": text}` with the key as `Idempotency-Key`; returns a sentence.

    Raises NotDelivered, or Conflict for what trying again does not change.
    """
    return _post(egress, HttpRequest("POST", url, {"Idempotency-Key": key}, {"text": text}), OF_NODE)


def post(egress: Egress, url: str, body: bytes, headers: Mapping[str, str]) -> str:
    """POST a body to a notification target; returns a sentence, and raises as `post_message` does."""
    return _post(egress, HttpRequest("POST", url, headers, body=body), OF_TARGET)


def _post(egress: Egress, request: HttpRequest, advice: Advice) -> str:
    try:
        answer = send(egress, request, TIME_LIMIT_SECONDS)
    except NoAnswer as error:
        raise NotDelivered(f"The address {error}.") from None
    except NotAnAddress:
        raise Conflict(f"The address is none that a message can be sent to: {advice.replace}.") from None
    except NotAllowed as error:
        raise Conflict(f"The address {error}: {advice.replace}.") from None
    status = answer.status
    if 200 <= status < 300:
        return f"The address took it with status {status}."
    if status >= 500 or status in _LATER:
        raise NotDelivered(f"The address answered with status {status}.", _wish(answer.headers))
    raise Conflict(f"The address refused the message with status {status}: {advice.look}.")


def _wish(headers: Mapping[str, str]) -> timedelta | None:
    """Return for how long the address asks to be left alone, if it says so in seconds."""
    asked = headers.get("retry-after", "")
    return timedelta(seconds=int(asked)) if asked.isascii() and asked.isdecimal() and len(asked) < 7 else None
