"""Log lines: as text for people, or as JSON for programs, with the id of the request that they were written for."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

from app.runtime import request_id

TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s%(for_request)s"


class OfRequest(logging.Filter):
    """Puts the id of the current request on every record; it lets all of them pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        of_request = request_id.current()
        record.__dict__.update(request_id=of_request, for_request=f" [{of_request}]" if of_request else "")
        return True


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message and, where there are any, request_id and exception."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if of_request := getattr(record, "request_id", ""):
            line["request_id"] = of_request
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def log_to_stderr(form: str) -> None:
    """Send all log lines of this process to standard error, as `text` or as `json`, and Python's warnings with them."""
    handler = logging.StreamHandler()
    handler.addFilter(OfRequest())
    handler.setFormatter(JsonLines() if form == "json" else logging.Formatter(TEXT))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
