"""Server-sent events, read."""

from __future__ import annotations


def sse(body: str) -> list[dict[str, str]]:
    """The fields of each event that has a name; data of several lines is joined."""
    events = []
    for block in body.replace("\r\n", "\n").split("\n\n"):
        fields: dict[str, str] = {}
        for line in filter(None, block.split("\n")):
            name, _, value = line.partition(": ") if ": " in line else line.partition(":")
            fields[name] = f"{fields[name]}\n{value}" if name in fields else value
        if fields.get("event"):
            events.append(fields)
    return events
