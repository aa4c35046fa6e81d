"""Posts one message to an address on the web, in the form that Slack and its like take.

The address is a secret: no error carries it, and nothing of the answer but its status is read. Where it may be, and
that no redirect is followed, is for `app.outbound` to see to.
"""

from __future__ import annotations

from app.domain.egress import Egress
from app.domain.errors import Conflict, TransientError
from app.domain.http import HttpRequest, NoAnswer, NotAllowed, NotAnAddress
from app.outbound import send

TIME_LIMIT_SECONDS = 10.0
_LATER = {408, 425, 429}


class NotDelivered(TransientError):
    """The address did not take the message; it may take it later."""


def post_message(egress: Egress, url: str, text: str, key: str) -> str:
    """POST `{"text": text}` with the key as `Idempotency-Key`; returns a sentence.

    Raises NotDelivered, or Conflict for what trying again does not change.
    """
    request = HttpRequest("POST", url, {"Idempotency-Key": key}, {"text": text})
    try:
        status = send(egress, request, TIME_LIMIT_SECONDS).status
    except NoAnswer as error:
        raise NotDelivered(f"The address {error}.") from None
    except NotAnAddress:
        raise Conflict(
            "The address is none that a message can be sent to: give the node another url."
        ) from None
    except NotAllowed as error:
        raise Conflict(f"The address {error}: give the node another url.") from None
    if 200 <= status < 300:
        return f"The address took it with status {status}."
    if status >= 500 or status in _LATER:
        raise NotDelivered(f"The address answered with status {status}.")
    raise Conflict(f"The address refused the message with status {status}: look at the node's url.")
