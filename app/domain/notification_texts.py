"""What a message says: its subject in a few words, its text for people, and the same for each kind of receiver.

All of it is made of values, so it is the same for every try. Lines of logs are masked before they were stored; here
they are bounded, and nobody is called by what a log, a branch or a person wrote (`@everyone`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from app.domain.documents import Json
from app.domain.notification_addresses import Shape
from app.domain.notifications import COUNTED, Item, State

SHOWN = 20  # items of a message for people
LOG_CHARACTERS = 3000
DISCORD_CHARACTERS, TEXT_CHARACTERS, NTFY_BYTES = 3800, 12_000, 3500
SUBJECT_CHARACTERS = 200
_RED, _GREEN, _GREY = 0xD1242F, 0x1A7F37, 0x6E7781
_NOBODY = "@\u200b"  # calls nobody, and looks the same


@dataclass(frozen=True)
class Telling:
    """One message: `items` of the `count` that it tells, and of the first one the last lines of its log.

    `url` is what this installation is called, where links lead; `key` is the same for every try.
    """

    project: str
    target: str
    items: Sequence[Item]
    count: int
    url: str
    key: str
    created_at: datetime
    log: Sequence[str] = field(default=(), repr=False)

    @property
    def first(self) -> Item:
        return self.items[0]

    @property
    def is_bad(self) -> bool:
        return any(item.state.is_bad for item in self.items)


def subject(telling: Telling) -> str:
    """Return a line such as `[shop] report failed` or, of several, `[shop] 3 failed, 1 recovered`."""
    if telling.count == 1:
        said = telling.first.headline
    else:
        counted = Counter(item.state for item in telling.items)
        said = ", ".join(f"{counted[state]} {COUNTED[state]}" for state in State if counted[state])
        if left := telling.count - len(telling.items):
            said += f", {left} more"
    return " ".join(f"[{telling.project}] {said}".split())[:SUBJECT_CHARACTERS]


def text(telling: Telling) -> str:
    """Return the message in plain text, without its subject."""
    if telling.count == 1:
        return _one(telling)
    lines = [f"{item.headline}: {item.sentence}".rstrip(": ") for item in telling.items[:SHOWN]]
    links = [f"  {telling.url}{item.path}" if item.path else "" for item in telling.items[:SHOWN]]
    listed = "\n".join(f"- {line}\n{link}".rstrip() for line, link in zip(lines, links, strict=True))
    left = telling.count - min(len(telling.items), SHOWN)
    more = f"\n\nAnd {left} more: {telling.url}/runs" if left else ""
    return f"{listed}{more}"[:TEXT_CHARACTERS]


def _one(telling: Telling) -> str:
    item = telling.first
    parts = [f"{item.headline}.", item.sentence, item.details, _when(item)]
    if item.path:
        parts.append(f"{telling.url}{item.path}")
    said = "\n".join(part for part in parts if part)
    return f"{said}\n\nThe last lines of its log:\n\n{_log(telling)}" if telling.log else said


def _when(item: Item) -> str:
    return f"At {item.at:%Y-%m-%d %H:%M:%S} UTC."


def _log(telling: Telling) -> str:
    """Return the lines of the log from the end, as many as are not too many characters."""
    whole = "\n".join(telling.log)
    return whole if len(whole) <= LOG_CHARACTERS else f"…{whole[-LOG_CHARACTERS:]}"


def chat(telling: Telling, shape: Shape) -> Json:
    """Return what a chat takes."""
    match shape:
        case Shape.DISCORD:
            return _discord(telling)
        case Shape.TEAMS:
            return _teams(telling)
        case Shape.SLACK:
            return {"text": _slack(telling)}


def _slack(telling: Telling) -> str:
    """As Slack and Mattermost write it: what follows `<`, `>` and `&` means nothing, and nobody is called."""
    if telling.count > 1 or not telling.log:
        return f"*{_harmless(subject(telling))}*\n{_harmless(text(telling))}"
    item = telling.first
    said = "\n".join(_harmless(part) for part in (item.sentence, item.details) if part)
    link = f"\n{telling.url}{item.path}" if item.path else ""
    fenced = _escaped(_log(telling)).replace("```", "'''")
    return f"*{_harmless(subject(telling))}*\n{said}{link}\n```\n{fenced}\n```"


def _harmless(said: str) -> str:
    return _escaped(said).replace("@", _NOBODY)


def _escaped(said: str) -> str:
    return said.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _discord(telling: Telling) -> Json:
    item, said = telling.first, text(telling)
    if telling.count == 1 and telling.log:
        above, _, log = said.partition("\n\nThe last lines of its log:\n\n")
        fenced = log.replace("```", "'''")[-(DISCORD_CHARACTERS - min(len(above), 600)) :]
        said = f"{above[:600]}\n```\n{fenced}\n```"
    embed: Json = {
        "title": subject(telling),
        "description": said[:DISCORD_CHARACTERS],
        "color": _RED if telling.is_bad else _GREEN if item.state is not State.TEST else _GREY,
        "timestamp": telling.created_at.isoformat(),
    }
    if telling.count == 1 and item.path:
        embed["url"] = f"{telling.url}{item.path}"
    return {"embeds": [embed], "allowed_mentions": {"parse": []}}


def _teams(telling: Telling) -> Json:
    """An Adaptive Card, as workflows of Teams and their older connectors take it."""
    item = telling.first
    title = {
        "type": "TextBlock",
        "size": "medium",
        "weight": "bolder",
        "wrap": True,
        "text": subject(telling),
        "color": "attention" if telling.is_bad else "good",
    }
    if telling.count == 1:
        said = [part for part in (item.sentence, item.details, _when(item)) if part]
    else:
        said = text(telling).split("\n")
    body: list[Json] = [title, *({"type": "TextBlock", "wrap": True, "text": each} for each in said)]
    if telling.log:
        log = {
            "type": "TextBlock",
            "wrap": True,
            "fontType": "monospace",
            "text": _log(telling).replace("\n", "\n\n"),
        }
        body.append(log)
    card: Json = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
    }
    if item.path and telling.count == 1:
        address = f"{telling.url}{item.path}"
        card["actions"] = [{"type": "Action.OpenUrl", "title": "Open in Jobyard", "url": address}]
    content_type = "application/vnd.microsoft.card.adaptive"
    return {"type": "message", "attachments": [{"contentType": content_type, "content": card}]}


def ntfy(telling: Telling, topic: str) -> Json:
    """Return what an ntfy server takes as JSON: it makes a file of what is longer than a message."""
    message: Json = {
        "topic": topic,
        "title": subject(telling),
        "message": _within(text(telling), NTFY_BYTES),
        "priority": 4 if telling.is_bad else 3,
        "tags": ["rotating_light" if telling.is_bad else "white_check_mark"],
    }
    if telling.count == 1 and telling.first.path:
        message["click"] = f"{telling.url}{telling.first.path}"
    return message


def _within(said: str, size: int) -> str:
    encoded = said.encode()
    return said if len(encoded) <= size else f"{encoded[:size].decode(errors='ignore')}…"


def webhook(telling: Telling) -> Json:
    """Return the payload of a signed webhook: every item as it is, for programs."""
    return {
        "type": "jobyard.notification",
        "timestamp": telling.created_at.isoformat().replace("+00:00", "Z"),
        "data": {
            "project": telling.project,
            "target": telling.target,
            "subject": subject(telling),
            "count": telling.count,
            "items": [_item(item, telling.url) for item in telling.items],
            "log": list(telling.log),
        },
    }


def _item(item: Item, url: str) -> Mapping[str, object]:
    return {
        "rule": item.rule,
        "state": item.state.value,
        "headline": item.headline,
        "sentence": item.sentence,
        "details": item.details,
        "job": item.job,
        "run": item.run_id,
        "run_name": item.run_name or None,
        "build": item.build_id,
        "at": item.at.isoformat().replace("+00:00", "Z"),
        "url": f"{url}{item.path}" if item.path else None,
    }


def ping(telling: Telling) -> str:
    """Return the body of a ping: why, and the last lines of the log."""
    return _within("\n".join((telling.first.sentence, *telling.log)).strip(), 10_000)


def as_json(document: Json) -> bytes:
    """Return the bytes that are posted, and signed."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
