"""The archive: a tar that is written and read from its beginning to its end, so that it never has to be in one place.

    format.json      what it is: the version of this form, and what it was made of
    jobyard.db       the database, SQLite's; or `database.dump`, what pg_dump made in its own format
    secret.key       the key, unless it is kept apart
    logs/…
    manifest.json    size and SHA-256 of each of these: whatever was cut off or changed doesn't agree with it

Archives of earlier releases begin with `jobyard.db` and have neither `format.json` nor a manifest.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any

from app.buckets import Sink
from app.domain.errors import UserError

FORMAT, MANIFEST = "format.json", "manifest.json"
DATABASE, DUMP, KEY, LOGS = "jobyard.db", "database.dump", "secret.key", "logs"
VERSION = 2
LARGEST_DOCUMENT = 256 * 2**20  # bytes of the manifest: a line a file


@dataclass(frozen=True)
class Facts:
    """What a backup is of. `openers` are the ids of the keys that open its secrets; `rows` counts those of tables."""

    kind: str  # sqlite or postgresql
    made_at: str
    installation: str
    revision: str
    openers: tuple[str, ...]
    has_key: bool
    rows: Mapping[str, int] = field(default_factory=dict)


class Writer:
    """Writes an archive to a stream, each file once; with the block it is whole, or, by an exception, left as it is."""

    def __init__(self, stream: Sink, facts: Facts) -> None:
        self._outlet = _Outlet(stream)
        # Closed by `__exit__`; of a stream that is written to, tarfile asks nothing but `write`, which its types hide.
        self._tar = tarfile.open(fileobj=self._outlet, mode="w|")  # type: ignore[call-overload]  # noqa: SIM115
        self._sums: dict[str, list[Any]] = {}
        self._document(FORMAT, {"version": VERSION, **asdict(facts)})

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._document(MANIFEST, self._sums)
        else:
            self._outlet.is_shut = True
        self._tar.close()

    def file(self, path: Path, name: str) -> None:
        """Add a file as it is now; one that is gone meanwhile is left out. Raises OSError."""
        try:
            opened = path.open("rb")
        except (FileNotFoundError, IsADirectoryError):
            return
        with opened:
            member = self._tar.gettarinfo(arcname=name, fileobj=opened)
            self._add(member, opened)

    def _document(self, name: str, document: object) -> None:
        content = json.dumps(document).encode()
        member = tarfile.TarInfo(name)
        member.size, member.mode = len(content), 0o600
        self._add(member, io.BytesIO(content))

    def _add(self, member: tarfile.TarInfo, content: IO[bytes]) -> None:
        summed = _Summed(content)
        self._tar.addfile(member, summed)
        self._sums[member.name] = [member.size, summed.hexdigest()]


class _Outlet:
    """A stream that takes nothing any more once it is shut: a tar always writes its end."""

    def __init__(self, stream: Sink) -> None:
        self._stream, self.is_shut = stream, False

    def write(self, piece: bytes) -> int:
        return len(piece) if self.is_shut else self._stream.write(piece)


class _Summed:
    """A stream that sums up what is read of it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._sum, self.size = stream, hashlib.sha256(), 0

    def read(self, size: int = -1) -> bytes:
        piece = self._stream.read(size)
        self._sum.update(piece)
        self.size += len(piece)
        return piece

    def hexdigest(self) -> str:
        return self._sum.hexdigest()


@dataclass(frozen=True)
class Unpacked:
    """What an archive was found to hold; `facts` is None for one of an earlier release, which has none."""

    facts: Facts | None
    files: int
    bytes: int


def unpack(stream: IO[bytes], into: Path, only: frozenset[str] | None = None) -> Unpacked:
    """Write an archive's files, or only those of these names, below an empty directory; all agree with the manifest.

    Modes, owners and times of the archive are not taken over, and no file is written twice. Raises UserError for what
    is no backup, or was cut off or changed; then what was written is not to be used. Raises OSError, tarfile.TarError.
    """
    with tarfile.open(fileobj=stream, mode="r|*") as archive:
        members = _members(archive)
        facts: Facts | None = None
        sums: dict[str, list[Any]] = {}
        wanted: dict[str, list[Any]] | None = None
        for member, name in members:
            packed = archive.extractfile(member)
            assert packed is not None, "a regular file"
            content = _Summed(packed)
            if str(name) in (FORMAT, MANIFEST):
                document = _read_document(content, str(name))
                if str(name) == FORMAT:
                    facts = _facts(document)
                else:
                    wanted = document
                    continue
            else:
                _write(content, None if only is not None and str(name) not in only else into / name)
            sums[str(name)] = [content.size, content.hexdigest()]
    if facts is not None:
        _compare(sums, wanted)
    return Unpacked(facts, len(sums), sum(size for size, _ in sums.values()))


def _write(content: _Summed, path: Path | None) -> None:
    if path is None:
        while content.read(2**20):
            pass
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        shutil.copyfileobj(content, file)
    path.chmod(0o600)


def _read_document(content: _Summed, name: str) -> Any:
    try:
        return json.loads(content.read(LARGEST_DOCUMENT))
    except ValueError:
        raise UserError(
            f"The backup's {name} can't be read: it was changed, and nothing was restored."
        ) from None


def _facts(document: Any) -> Facts:
    given = dict(document)
    version = given.pop("version")
    if version != VERSION:
        raise UserError(
            f"The backup has form {version}, which a later version of Jobyard made: restore it with that."
        )
    return Facts(**{**given, "openers": tuple(given["openers"])})


def _compare(sums: Mapping[str, list[Any]], wanted: Mapping[str, list[Any]] | None) -> None:
    if wanted is None:
        raise UserError("The backup has no manifest, so its end is missing: nothing was restored.")
    wrong = sorted(name for name in {*sums, *wanted} if sums.get(name) != wanted.get(name))
    if wrong:
        raise UserError(
            f"The backup's {wrong[0]} is not what its manifest says: it was changed, and nothing was restored."
        )


def _members(archive: tarfile.TarFile) -> Iterator[tuple[tarfile.TarInfo, PurePosixPath]]:
    """Return the archive's files, each with its place below the data directory. Raises UserError for anything else."""
    for member in archive:
        name = PurePosixPath(member.name)
        if member.isdir() and name.parts[:1] in ((), (LOGS,)) and ".." not in name.parts:
            continue  # made with the files in it
        known = ((FORMAT,), (MANIFEST,), (DATABASE,), (DUMP,), (KEY,))
        if not member.isfile() or not (name.parts in known or _is_below_logs(name)):
            raise UserError(
                f"The backup has {member.name!r}, which no backup of Jobyard has: nothing was restored."
            )
        yield member, name


def _is_below_logs(name: PurePosixPath) -> bool:
    return name.parts[:1] == (LOGS,) and len(name.parts) > 1 and ".." not in name.parts
