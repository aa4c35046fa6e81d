"""Files that a repository keeps elsewhere (Git LFS): what their pointers in a work tree stand for, put in their place.

Asked of the repository's own server by its batch interface. Where that sends us for a file obeys the same rules as a
repository's address; the credential goes to the repository's own origin and nowhere else. A file counts once its size
and its SHA-256 are those of the pointer.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, ValidationError

from app.checkout.command import GitStopped, StopSignal
from app.checkout.credential import Credential, basic
from app.checkout.failures import AuthRefused, FetchRefused, disk_trouble
from app.checkout.submodules import Place
from app.checkout.urls import Remote, parse_remote
from app.checkout.web import asked, unless_stopped
from app.domain.errors import GitUnavailable

if TYPE_CHECKING:
    import httpx2

MEDIA_TYPE = "application/vnd.git-lfs+json"
BATCH = 100
MOST = 10_000
_ANSWER_BYTES = 4 * 1024**2
_POINTER_BYTES = 1024
_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n(?:ext-[^\n]*\n)*"
    rb"oid sha256:(?P<oid>[0-9a-f]{64})\nsize (?P<size>[0-9]{1,15})\n"
)
_BLOB = re.compile(rb"100(?:644|755) blob [0-9a-f]+ +(?P<size>[0-9]+)\t(?P<path>.+)", re.DOTALL)
_REFUSED, _MISSING = (401, 403), (404, 501)


class _Action(BaseModel):
    href: str
    header: dict[str, str] = {}


class _Failure(BaseModel):
    message: str = ""


class _Object(BaseModel):
    oid: str
    actions: dict[str, _Action] = {}
    error: _Failure | None = None


class _Answer(BaseModel):
    objects: list[_Object] = Field(max_length=BATCH)


@dataclass(frozen=True, slots=True)
class Pointer:
    path: str
    oid: str
    size: int


@dataclass(frozen=True, slots=True)
class LargeFiles:
    """Fetches the LFS files of a commit. `max_bytes` bounds all of them together; a fetch that was stopped leaves
    nothing behind.
    """

    allow: frozenset[str]
    max_bytes: int
    should_stop: StopSignal | None = None

    def fetch(self, place: Place) -> int:
        """Put the files in their places and return how many there are. Raises FetchRefused, AuthRefused or
        GitUnavailable.
        """
        found = list(pointers(place))
        if not found:
            return 0
        if len(found) > MOST or sum(each.size for each in found) > self.max_bytes:
            limit = self.max_bytes // 1024**2
            raise FetchRefused(
                f"{place.url} has more than {MOST} LFS files, or more than {limit} MiB of them."
            )
        remote = parse_remote(place.url, self.allow)
        if remote.transport not in ("https", "http"):
            raise FetchRefused(
                f"The LFS files of {place.url} can't be had by {remote.transport}: use its https address."
            )
        for start in range(0, len(found), BATCH):
            self._fetch(place, remote, found[start : start + BATCH])
        return len(found)

    def _fetch(self, place: Place, remote: Remote, wanted: Sequence[Pointer]) -> None:
        of_oid = {each.oid: each for each in self._offered(remote, place.credential, wanted)}
        for pointer in wanted:
            found = of_oid.get(pointer.oid)
            action = found.actions.get("download") if found else None
            if action is None:
                why = f": {_printable(found.error.message)}" if found and found.error else ""
                raise FetchRefused(f"{remote.url} does not have the LFS file {pointer.path}{why}.")
            self._download(place, remote, pointer, action)

    def _offered(
        self, remote: Remote, credential: Credential | None, wanted: Sequence[Pointer]
    ) -> list[_Object]:
        base = remote.url.rstrip("/")
        url = f"{base if base.endswith('.git') else base + '.git'}/info/lfs/objects/batch"
        objects = [{"oid": each.oid, "size": each.size} for each in wanted]
        body = {"operation": "download", "transfers": ["basic"], "objects": objects}
        headers = {"Accept": MEDIA_TYPE, "Content-Type": MEDIA_TYPE, **_authorization(credential)}
        what = f"The list of the LFS files of {remote.url}"

        def ask() -> bytes:
            with asked("POST", url, what, self.allow, headers, body) as answer:
                _require_ok(answer, what)
                return b"".join(_at_most(_ANSWER_BYTES, answer.iter_raw(), what))

        try:
            return _Answer.model_validate_json(unless_stopped(ask, self.should_stop)).objects
        except ValidationError:
            raise FetchRefused(f"{what} is not what Git LFS understands.") from None

    def _download(self, place: Place, remote: Remote, pointer: Pointer, action: _Action) -> None:
        headers = dict(action.header)
        has_own = any(name.lower() == "authorization" for name in headers)
        if _origin(action.href) == _origin(remote.url) and not has_own:
            headers |= _authorization(place.credential)
        target = place.folder / pointer.path
        what = f"The LFS file {pointer.path} of {place.url}"
        try:
            with tempfile.TemporaryDirectory(dir=place.mirror.folder, prefix="lfs-") as aside:
                fresh = Path(aside) / "file"

                def bring() -> None:
                    with (
                        asked("GET", action.href, what, self.allow, headers) as answer,
                        fresh.open("xb") as file,
                    ):
                        _require_ok(answer, what)
                        file.writelines(_verified(pointer, self._wanted(answer.iter_raw()), what))

                unless_stopped(bring, self.should_stop)
                fresh.chmod(target.lstat().st_mode & 0o777)
                fresh.replace(target)
        except OSError as error:
            raise disk_trouble(error, place.mirror.folder) from error

    def _wanted(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        for block in blocks:
            if self.should_stop is not None and self.should_stop.is_set():
                raise GitStopped
            yield block


def pointers(place: Place) -> Iterator[Pointer]:
    """Return the pointers among the commit's regular files that are small enough to be one."""
    listed = place.mirror.read("ls-tree", "-r", "-l", "-z", "--full-tree", place.sha)
    for entry in listed.stdout.split(b"\0"):
        blob = _BLOB.fullmatch(entry)
        if blob is None or int(blob["size"]) > _POINTER_BYTES:
            continue
        path = os.fsdecode(blob["path"])
        if found := _POINTER.fullmatch((place.folder / path).read_bytes()):
            yield Pointer(path, found["oid"].decode(), int(found["size"]))


def _verified(pointer: Pointer, blocks: Iterable[bytes], what: str) -> Iterator[bytes]:
    size, digest = 0, hashlib.sha256()
    for block in blocks:
        size += len(block)
        digest.update(block)
        if size > pointer.size:
            break
        yield block
    if (size, digest.hexdigest()) != (pointer.size, pointer.oid):
        raise FetchRefused(f"{what} is not what its pointer says: another size or SHA-256.")


def _at_most(limit: int, blocks: Iterable[bytes], what: str) -> Iterator[bytes]:
    size = 0
    for block in blocks:
        size += len(block)
        if size > limit:
            raise FetchRefused(f"{what} is longer than {limit // 1024**2} MiB.")
        yield block


def _require_ok(answer: httpx2.Response, what: str) -> None:
    status = answer.status_code
    if status in _REFUSED:
        raise AuthRefused(f"{what} is refused to us (status {status}): set a credential that may read it.")
    if status in _MISSING or 300 <= status < 400:
        raise FetchRefused(f"{what} is not there (status {status}).")
    if status != 200:
        raise GitUnavailable(f"{what} could not be had: status {status}.")


def _authorization(credential: Credential | None) -> dict[str, str]:
    return {} if credential is None else {"Authorization": f"Basic {basic(credential)}"}


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)[:200].rstrip(".")
