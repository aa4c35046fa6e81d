"""Whether the engine was there all the time, as its own connection tells."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from builders.backends import watch
from builders.backends.base import BackendUnavailable
from builders.backends.docker_host import DockerHost
from builders.backends.watch import watching

OPEN = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
PONG = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"
REFUSED = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"


class Engine:
    """Answers the call that is listened to with `first`, and every other one with a pong."""

    def __init__(self, path: Path, first: bytes) -> None:
        self.url = f"unix://{path}"
        self._answers = iter([first])
        self._connections: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            connection.recv(4096)
            connection.sendall(next(self._answers, PONG))

    def drop_connections(self) -> None:
        for connection in self._connections:
            connection.close()

    def close(self) -> None:
        """As a process that ends."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        self.drop_connections()


@contextmanager
def engine_that(tmp_path: Path, first: bytes) -> Iterator[Engine]:
    with closing(Engine(tmp_path / "engine.sock", first)) as engine:
        yield engine


def test_an_engine_that_stays_has_not_gone_away(tmp_path: Path) -> None:
    with engine_that(tmp_path, OPEN) as engine, watching(DockerHost(engine.url)) as watched:
        assert not watched.went_away()


def test_an_engine_that_ended_went_away_though_another_one_answers_by_now(tmp_path: Path) -> None:
    with engine_that(tmp_path, OPEN) as engine, watching(DockerHost(engine.url)) as watched:
        engine.drop_connections()
        assert watched.went_away()


def test_an_engine_that_answers_no_more_went_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "ASKED_AFTERWARDS_SECONDS", 0.1)
    with engine_that(tmp_path, OPEN) as engine, watching(DockerHost(engine.url)) as watched:
        engine._answers = iter([b""])
        assert watched.went_away()


def test_one_that_lets_nobody_listen_is_not_watched(tmp_path: Path) -> None:
    with engine_that(tmp_path, REFUSED) as engine, watching(DockerHost(engine.url)) as watched:
        engine.drop_connections()
        assert not watched.went_away()


def test_an_address_of_another_kind_is_not_watched() -> None:
    with watching(DockerHost("ssh://nobody@host.invalid")) as watched:
        assert not watched.went_away()


def test_an_engine_that_hangs_or_is_not_there_is_away_from_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "ANSWER_SECONDS", 0.1)
    with (
        engine_that(tmp_path, b"") as engine,
        pytest.raises(BackendUnavailable, match=r"engine doesn't answer \(nothing for"),
        watching(DockerHost(engine.url)),
    ):
        pass
    for address in (f"unix://{tmp_path}/none.sock", "tcp://127.0.0.1:1"):
        with (
            pytest.raises(BackendUnavailable, match=r"engine doesn't answer \((No such|Connection refused)"),
            watching(DockerHost(address)),
        ):
            pass
