"""A collector of traces, which takes what OpenTelemetry's exporters send over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

TIMES = ("start_time_unix_nano", "end_time_unix_nano")


@dataclass
class Collected:
    """What was taken. `answers` is cleared to let whoever sends wait; `status` is what they are answered."""

    url: str = ""
    status: int = 200
    asked: int = 0
    bodies: list[bytes] = field(default_factory=list)
    answers: threading.Event = field(default_factory=threading.Event)

    @property
    def spans(self) -> list[Any]:
        """By their begin; one that was sent again is there once."""
        spans = {}
        for body in self.bodies:
            request = ExportTraceServiceRequest.FromString(body)
            for of_resource in request.resource_spans:
                [name] = [
                    each.value for each in of_resource.resource.attributes if each.key == "service.name"
                ]
                assert name.string_value == "jobyard"
                for of_scope in of_resource.scope_spans:
                    spans.update({span.span_id: span for span in of_scope.spans})
        return sorted(spans.values(), key=lambda span: span.start_time_unix_nano)

    def ways(self) -> list[str]:
        """Each span's name behind those that it belongs to, such as `delivery/build`; the parents must be there."""
        by_id = {span.span_id: span for span in self.spans}

        def way(span: Any) -> str:
            return f"{way(by_id[span.parent_span_id])}/{span.name}" if span.parent_span_id else span.name

        return sorted(map(way, by_id.values()))


@contextmanager
def collector() -> Iterator[Collected]:
    collected = Collected()
    collected.answers.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collected.asked += 1
            collected.answers.wait()
            if collected.status == 200:
                collected.bodies.append(body)
            self.send_response(collected.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    collected.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield collected
    finally:
        collected.answers.set()
        server.shutdown()
        thread.join()
        server.server_close()
