"""Whether a secret that somebody chose is easily guessed."""

from __future__ import annotations

SHORTEST_WEBHOOK_SECRET = 16
DIFFERENT = 5
ADVICE = "such as the output of `openssl rand -hex 32`"


def require_unguessable(secret: str, shortest: int) -> None:
    """Raises ValueError, with the rest of a sentence, for a secret that is short or hardly varies."""
    if len(secret) < shortest:
        raise ValueError(f"must have at least {shortest} characters, {ADVICE}")
    if len(set(secret)) < DIFFERENT:
        raise ValueError(f"must have at least {DIFFERENT} different characters, {ADVICE}")
