"""Whether what a form is about is still as it was when the form was shown."""

from __future__ import annotations

import hashlib
import json

from app.domain.documents import Json
from app.domain.errors import Conflict
from app.web.pages.context import PageContext


def version_of(stored: Json) -> str:
    """What stands for the stored values in a form's field `seen`; it says nothing of what they are."""
    text = json.dumps(stored, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def require_unchanged(ctx: PageContext, stored: Json, what: str) -> None:
    """Raises Conflict if somebody changed `what` since the form was shown. A form without `seen` takes what comes."""
    seen = ctx.field("seen")
    if seen and seen != version_of(stored):
        raise Conflict(
            f"Somebody changed {what} since this page was opened. Look at it in another tab; saving again puts what"
            " is typed here in its place."
        )
