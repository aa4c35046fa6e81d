"""Templates: autoescaped, strict about missing values, with the words and charts they need."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.ext import Extension
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from app.domain.fires import next_fire_of
from app.domain.forge_links import commit_page
from app.domain.refs import named
from app.store.overview import STRIP
from app.store.strips import Mark
from app.web.pages import charts, field_labels, formatting
from app.web.pages.help_links import help_link
from app.web.pages.people import device
from app.web.pages.places import places_for
from app.web.server_context import server_of
from app.web.shortcuts import SHORTCUTS

WEB = Path(__file__).parent.parent
NO_RUNS = '<line class="strip-none" x1="0" x2="166" y1="27" y2="27"/>'


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
_env.globals.update(
    places_for=places_for,
    version=version_of(WEB),
    fmt=formatting,
    next_fire_of=next_fire_of,
    charts=charts,
    shortcuts=SHORTCUTS,
)
_env.filters.update(
    utc=formatting.utc,
    iso=formatting.iso,
    duration=formatting.duration,
    short=formatting.short,
    outcome=formatting.outcome,
    label=formatting.label,
    bytes=formatting.size,
    repository=formatting.repository,
    ref=named,
    commit_page=commit_page,
    device=device,
)


def fragment(template: str, **context: object) -> str:
    return _env.get_template(template).render(**context)


def strip(marks: Sequence[Mark], now: datetime) -> Markup:
    """The strip of a job's latest runs, newest first: one image, whose bars lead to their runs where scripts run.

    Nothing in it was written by anybody, so nothing needs to be escaped.
    """
    shown = marks[:STRIP]
    ids = " ".join(str(mark.id) for mark in shown)
    bars = "".join(
        f'<path data-status="{status}" d="{d}"/>' for status, d in charts.strip(shown, now).items()
    )
    label = charts.strip_in_words(shown)
    return Markup(  # noqa: S704 - see above
        f'<svg class="strip" viewBox="0 0 166 28" role="img" aria-label="{label}" data-runs="{ids}"'
        f' data-told="{charts.strip_told(shown)}">'
        f"{bars or NO_RUNS}</svg>"
    )


_env.globals["strip"] = strip
_env.globals["help_link"] = help_link


def tag_of(text: str) -> str:
    """The ETag of a page: whoever has it already is told so, in place of the page."""
    return f'W/"{hashlib.blake2b(text.encode(), digest_size=12).hexdigest()}"'


def render(request: Request, template: str, status: int, **context: object) -> Response:
    server = server_of(request)
    room = {"drill": server.drill, "disk_trouble": server.disk.trouble, "disk_alarm": server.disk.alarm}
    text = fragment(template, request=request, path=request.url.path, **room, **context)
    if (wrong := context.get("errors")) and isinstance(wrong, Mapping):
        text = field_labels.finish(text, wrong)
    headers = {"Cache-Control": "no-store"}
    if status == 200 and request.method == "GET":
        headers["ETag"] = tag_of(text)
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
    return HTMLResponse(text, status, headers=headers)
