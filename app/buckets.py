"""Buckets of S3, or of anything that speaks its protocol: for backups, and for logs that several servers read."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import IO, TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from app.domain.errors import UserError

if TYPE_CHECKING:
    from minio import Minio

SCHEME = "s3://"
PART_BYTES = 16 * 2**20  # of which one is in memory while another is made
PIECES, PIECE_BYTES = 16, 2**20
AWS = "https://s3.amazonaws.com"
TYPE = "application/x-tar"


class Sink(Protocol):
    """What bytes are written to."""

    def write(self, piece: bytes, /) -> int: ...


@dataclass(frozen=True)
class Bucket:
    """How a bucket is reached: an address, a region, and keys; the words of the usual AWS variables.

    `patience` is for how many seconds an answer is waited for, each of `tries` times.
    """

    endpoint: str | None
    region: str | None
    access_key: str | None
    secret_key: str | None
    session_token: str | None
    patience: int = 60
    tries: int = 4

    def __repr__(self) -> str:
        return f"<Bucket at {self.endpoint or AWS}>"


@dataclass(frozen=True)
class Stored:
    """An object in a bucket, or the place for one."""

    bucket: str
    name: str

    @classmethod
    def of(cls, address: str, default_name: str) -> Stored:
        """The object that `s3://bucket/name` means; below a name that ends with a slash, or none, the default's.

        Raises UserError.
        """
        parts = urlsplit(address)
        if not parts.netloc or parts.query or parts.fragment:
            raise UserError(
                f"{address} must be s3://BUCKET/NAME, or s3://BUCKET/PREFIX/ for a name by the time."
            )
        name = parts.path.lstrip("/")
        return cls(parts.netloc, f"{name}{default_name}" if not name or name.endswith("/") else name)

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.name}"


def exists(bucket: Bucket, stored: Stored) -> bool:
    """Raises UserError if the bucket can't be asked."""
    from minio.error import S3Error

    with _as_ours(stored):
        try:
            _client(bucket).stat_object(stored.bucket, stored.name)
        except S3Error as error:
            if error.code in ("NoSuchKey", "NoSuchObject"):
                return False
            raise
    return True


def size(bucket: Bucket, stored: Stored) -> int:
    """The bytes of an object. Raises UserError."""
    with _as_ours(stored):
        return _client(bucket).stat_object(stored.bucket, stored.name).size or 0


def sizes(bucket: Bucket, below: Stored) -> dict[str, int]:
    """The bytes of the objects right below a prefix, which is empty or ends with a slash, by name. Raises UserError."""
    with _as_ours(below):
        found = _client(bucket).list_objects(below.bucket, below.name or None)
        return {
            (each.object_name or "").removeprefix(below.name): each.size or 0
            for each in found
            if not each.is_dir
        }


def names(bucket: Bucket, below: Stored, after: str = "") -> list[str]:
    """The objects at any depth below a prefix that ends with a slash, in order of their names: those that come after
    the one that is named. Raises UserError.
    """
    since = f"{below.name}{after}" if after else None
    with _as_ours(below):
        found = _client(bucket).list_objects(below.bucket, below.name, recursive=True, start_after=since)
        return [(each.object_name or "").removeprefix(below.name) for each in found]


def folders(bucket: Bucket, below: Stored) -> Iterator[str]:
    """What is between a prefix that ends with a slash and the next slash, in order. Raises UserError."""
    with _as_ours(below):
        for each in _client(bucket).list_objects(below.bucket, below.name):
            if each.is_dir:
                yield (each.object_name or "").removeprefix(below.name).rstrip("/")


def remove_below(bucket: Bucket, below: Stored) -> None:
    """Remove all objects below a prefix that ends with a slash. Raises UserError."""
    for name in names(bucket, below):
        remove(bucket, Stored(below.bucket, f"{below.name}{name}"))


def put(bucket: Bucket, stored: Stored, content: bytes) -> None:
    """Store an object, or replace it. Raises UserError."""
    with _as_ours(stored):
        _client(bucket).put_object(stored.bucket, stored.name, io.BytesIO(content), len(content))


def remove(bucket: Bucket, stored: Stored) -> None:
    """Remove an object; nothing if there is none. Raises UserError."""
    with _as_ours(stored):
        _client(bucket).remove_object(stored.bucket, stored.name)


def upload(bucket: Bucket, stored: Stored, write: Callable[[Sink], None]) -> None:
    """Store what `write` writes, part by part, so that it is never as a whole in memory or on a disk.

    An object comes to be when all of it is there, or not at all. Raises UserError, and whatever `write` raises.
    """
    pipe = _Pipe()
    failures: list[BaseException] = []

    def produce() -> None:
        try:
            write(pipe)
        except BaseException as error:  # whoever reads raises it
            failures.append(error)
        pipe.finish(failed=bool(failures))

    thread = Thread(target=produce, name="backup", daemon=True)
    thread.start()
    try:
        with _as_ours(stored):
            parts = {"part_size": PART_BYTES, "num_parallel_uploads": 1}
            # It asks nothing but `read` of what it stores.
            _client(bucket).put_object(stored.bucket, stored.name, pipe, -1, TYPE, **parts)  # type: ignore[arg-type]
    except Exception:  # whatever the bucket's side says then, it is since the writer failed
        if pipe.has_failed:
            raise failures[0] from None
        raise
    finally:
        pipe.close()
        thread.join()


@contextmanager
def download(bucket: Bucket, stored: Stored) -> Iterator[IO[bytes]]:
    """The object's bytes as a stream. Raises UserError."""
    with _as_ours(stored):
        answer = _client(bucket).get_object(stored.bucket, stored.name)
        try:
            yield io.BufferedReader(answer, PIECE_BYTES)
        finally:
            answer.close()
            answer.release_conn()


class _Pipe:
    """Bytes from one thread to another, few of them at a time. Reading raises OSError if writing failed."""

    def __init__(self) -> None:
        self._pieces: Queue[bytes | None] = Queue(PIECES)
        self._rest = b""
        self._is_over = False
        self.has_failed = False  # whoever writes, before anybody stopped reading
        self._is_closed = Event()

    def write(self, piece: bytes) -> int:
        for start in range(0, len(piece), PIECE_BYTES):
            self._put(bytes(piece[start : start + PIECE_BYTES]))
        return len(piece)

    def finish(self, *, failed: bool) -> None:
        self.has_failed = failed and not self._is_closed.is_set()
        with suppress(OSError):
            self._put(None)

    def _put(self, piece: bytes | None) -> None:
        while True:
            if self._is_closed.is_set():
                raise OSError("nobody reads any more")
            with suppress(Full):
                self._pieces.put(piece, timeout=0.5)
                return

    def read(self, size: int = -1) -> bytes:
        while not self._rest and not self._is_over:
            piece = self._pieces.get()
            if piece is None:
                self._is_over = True
            else:
                self._rest = piece
        if self._is_over and self.has_failed:
            raise OSError("what was to be stored could not be made")
        given, self._rest = (self._rest, b"") if size < 0 else (self._rest[:size], self._rest[size:])
        return given

    def close(self) -> None:
        self._is_closed.set()
        with suppress(Empty):
            while True:
                self._pieces.get_nowait()


@lru_cache(maxsize=4)
def _client(bucket: Bucket) -> Minio:
    import urllib3
    from minio import Minio

    if not bucket.access_key or not bucket.secret_key:
        raise UserError("A bucket needs keys: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.")
    address = urlsplit(bucket.endpoint or AWS)
    if address.scheme not in ("http", "https") or not address.netloc:
        raise UserError("AWS_ENDPOINT_URL must begin with https:// or http://.")
    http = urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=min(10, bucket.patience), read=bucket.patience),
        retries=urllib3.Retry(bucket.tries - 1, backoff_factor=0.5),
        maxsize=10,
    )
    return Minio(
        address.netloc,
        bucket.access_key,
        bucket.secret_key,
        bucket.session_token,
        secure=address.scheme == "https",
        region=bucket.region or "us-east-1",
        http_client=http,
    )


@contextmanager
def _as_ours(stored: Stored) -> Iterator[None]:
    from minio.error import MinioException, S3Error
    from urllib3.exceptions import HTTPError

    try:
        yield
    except S3Error as error:
        raise UserError(
            f"{stored}: the bucket's server said {error.code}: {_words(error.message)}"
        ) from error
    except (MinioException, HTTPError) as error:
        raise UserError(
            f"{stored}: the bucket's server did not answer as it should: {_words(error)}"
        ) from error


def _words(said: Any) -> str:
    return " ".join(str(said).split()).rstrip(".")[:200] + "."
