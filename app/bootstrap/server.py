"""A server: the application, and the loops that run while it serves."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial

from starlette.applications import Starlette

from app.bootstrap.loops import make_supervisor
from app.bootstrap.parts import make_parts
from app.bootstrap.web import NONE, server_context
from app.config import Settings
from app.domain.errors import EngineUnavailable
from app.installation import credentials_without_host, is_drill, logs_apart, only_server, open_installation
from app.web.app import create_app
from app.web.guide import Reference
from app.workers.supervisor import Supervisor
from builders import private

log = logging.getLogger(__name__)
DRILL = (
    "This copy was restored for a drill: nothing is built, run, sent or removed here, whatever it shows, until"
    " `jobyard new-epoch` is called."
)


@contextmanager
def open_server(
    settings: Settings, listening_url: str, references: Mapping[str, Reference] = NONE
) -> Iterator[Starlette]:
    """Yield the application; its loops run while it serves. `references` are added to the guide. Raises UserError."""
    with (
        open_installation(settings) as installation,
        only_server(settings, is_sqlite=installation.db.is_sqlite) as alone,
    ):
        for directory in private.sweep(installation.clock.now().timestamp()):
            log.info("removed %s, which a process that was killed has left", directory)
        for sentence in credentials_without_host(installation.db):
            log.warning(sentence)
        if sentence := logs_apart(installation):
            log.warning(sentence)
        parts, drill = make_parts(installation), DRILL if is_drill(installation.db) else ""
        if drill:
            log.warning(drill)
        make = partial(make_supervisor, parts, alone=alone, listening_url=listening_url)
        running = nullcontext if drill else _running(make())
        try:
            yield create_app(server_context(parts, listening_url, drill, references), running)
        finally:
            parts.inbox.close()
            if not drill:  # it confined nothing
                with suppress(EngineUnavailable):
                    parts.engine.unconfine()
            parts.engine.close()


def _running(supervisor: Supervisor) -> Callable[[], AbstractContextManager[None]]:
    @contextmanager
    def running() -> Iterator[None]:
        supervisor.start()
        try:
            yield
        finally:
            supervisor.stop()

    return running
