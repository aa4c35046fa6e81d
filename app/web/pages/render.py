"""Templates: autoescaped, strict about missing values, with the words and charts they need."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.ext import Extension
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from app.domain.fires import next_fire_of
from app.store.overview import STRIP, Bar
from app.web.pages import charts, formatting
from app.web.server_context import server_of

WEB = Path(__file__).parent.parent


def version_of(web: Path) -> str:
    """Changes with any static file, so that a browser never mixes two versions."""
    digest = hashlib.sha256()
    for path in sorted(web.joinpath("static").rglob("*")):
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()[:10]


class Unindented(Extension):
    """Takes the indentation off each line of a template: it is for those who read the template, pages go without it.

    It leaves one thing to know: a line that ends with a tag such as `{% endif %}` ends without white space. Where the
    page needs some, the line goes on after the tag, or `{{ " " }}` says so.
    """

    def preprocess(self, source: str, *_where: str | None) -> str:
        return re.sub(r"^[ \t]+", "", source, flags=re.MULTILINE)


_env = Environment(
    loader=FileSystemLoader(WEB / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    extensions=[Unindented],
)
_env.globals.update(version=version_of(WEB), fmt=formatting, next_fire_of=next_fire_of, charts=charts)
_env.filters.update(
    utc=formatting.utc,
    iso=formatting.iso,
    duration=formatting.duration,
    short=formatting.short,
    outcome=formatting.outcome,
    label=formatting.label,
    bytes=formatting.size,
    repository=formatting.repository,
)


def fragment(template: str, **context: object) -> str:
    return _env.get_template(template).render(**context)


def strip(bars: Sequence[Bar], now: datetime) -> Markup:
    """The strip of a job's latest runs; drawn once, as an overview of many jobs is mostly strips."""
    latest = tuple(bars[:STRIP])
    is_settled = all(bar.finished_at is not None for bar in latest)
    return _drawn_strip(latest, latest[0].created_at if latest and is_settled else now)


@lru_cache(maxsize=1000)
def _drawn_strip(bars: tuple[Bar, ...], now: datetime) -> Markup:
    return Markup(fragment("_strip.html", bars=bars, now=now))  # noqa: S704 - our own template has escaped it


_env.globals["strip"] = strip


def render(request: Request, template: str, status: int, **context: object) -> Response:
    disk = server_of(request).disk
    room = {"disk_trouble": disk.trouble, "disk_alarm": disk.alarm}
    text = fragment(template, request=request, path=request.url.path, **room, **context)
    return HTMLResponse(text, status, headers={"Cache-Control": "no-store"})
