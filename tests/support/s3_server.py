"""A server of S3's protocol as far as we need it, held to its documentation: every signature is checked.

python -m tests.support.s3_server FOLDER      prints its port, and keeps objects as files below the folder
"""

from __future__ import annotations

import hashlib
import hmac
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from tests.support.project import ROOT

ACCESS_KEY, SECRET_KEY = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
SMALLEST_PART = 5 * 2**20  # but for the last one


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder: Path
    full_after = 2**60  # bytes: then the disk is full
    page_size = 2  # objects that are listed at once

    def log_message(self, *_: Any) -> None: ...

    def do_HEAD(self) -> None:
        self._handle()

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD

    def _handle(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        self.query = dict(parse_qsl(parts.query, keep_blank_values=True))
        if not self._is_signed(parts.path, parts.query):
            self._error(403, "SignatureDoesNotMatch", "The signature is another.")
            return
        _, bucket, name = f"{unquote(parts.path)}/".split("/", 2)
        name = name.removesuffix("/")
        if not (self.folder / bucket).is_dir():
            self._error(404, "NoSuchBucket", "There is no such bucket.")
            return
        getattr(self, f"_{self.command.lower()}")(self.folder / bucket / name, f"/{bucket}/{name}")

    def _is_signed(self, path: str, query: str) -> bool:
        scheme, _, rest = self.headers.get("Authorization", "").partition(" ")
        fields = dict(each.strip().split("=", 1) for each in rest.split(",") if "=" in each)
        content = self.headers.get("x-amz-content-sha256", "")
        if scheme != "AWS4-HMAC-SHA256" or content != hashlib.sha256(self.body).hexdigest():
            return False
        access_key, *scope = fields["Credential"].split("/")
        sorted_query = "&".join(
            f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}"
            for name, value in sorted(parse_qsl(query, keep_blank_values=True))
        )
        names = fields["SignedHeaders"].split(";")
        headers = "".join(f"{name}:{' '.join(self.headers[name].split())}\n" for name in names)
        canonical = "\n".join([self.command, path, sorted_query, headers, ";".join(names), content])
        key = f"AWS4{SECRET_KEY}".encode()
        for part in scope:
            key = hmac.digest(key, part.encode(), "sha256")
        text = "\n".join(
            [
                scheme,
                self.headers["x-amz-date"],
                "/".join(scope),
                hashlib.sha256(canonical.encode()).hexdigest(),
            ]
        )
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        return access_key == ACCESS_KEY and hmac.compare_digest(signature, fields["Signature"])

    def _head(self, file: Path, name: str) -> None:
        self._get(file, name)

    def _get(self, file: Path, name: str) -> None:
        if "list-type" in self.query:
            self._list(file)
            return
        if not file.is_file():
            self._error(404, "NoSuchKey", f"There is no {name}.")
            return
        self._answer(200, file.read_bytes(), {"Last-Modified": "Wed, 21 Oct 2026 07:28:00 GMT"})

    def _list(self, bucket: Path) -> None:
        """Answer with what lies below the prefix, or right below it, some at a time."""
        prefix, delimiter = self.query.get("prefix", ""), self.query.get("delimiter", "")
        after = self.query.get("continuation-token") or self.query.get("start-after", "")
        keys = sorted(str(each.relative_to(bucket)) for each in bucket.rglob("*") if each.is_file())
        found = sorted({_up_to(delimiter, prefix, key) for key in keys if key.startswith(prefix)})
        left = [each for each in found if each > after]
        page = left[: self.page_size]
        told = ""
        for key in page:
            if delimiter and key.endswith(delimiter):
                told += f"<CommonPrefixes><Prefix>{quote(key)}</Prefix></CommonPrefixes>"
            else:
                size = (bucket / key).stat().st_size
                told += f"<Contents><Key>{quote(key)}</Key><Size>{size}</Size></Contents>"
        more = f"<NextContinuationToken>{page[-1]}</NextContinuationToken>" if page != left else ""
        head = f"<Name>{bucket.name}</Name><IsTruncated>{str(page != left).lower()}</IsTruncated>{more}"
        self._answer(200, _xml("ListBucketResult", f"{head}<EncodingType>url</EncodingType>{told}"))

    def _put(self, file: Path, name: str) -> None:
        if "uploadId" in self.query:
            file = self._upload() / self.query["partNumber"]
        used = sum(each.stat().st_size for each in self.folder.rglob("*") if each.is_file())
        if used + len(self.body) > self.full_after:
            self._error(507, "InsufficientStorage", "The disk is full.")
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(self.body)
        self._answer(200, b"", {"ETag": f'"{hashlib.md5(self.body).hexdigest()}"'})

    def _post(self, file: Path, name: str) -> None:
        if "uploads" in self.query:
            self.query["uploadId"] = hashlib.sha256(name.encode()).hexdigest()[:16]
            self._upload().mkdir()
            upload_id = self.query["uploadId"]
            self._answer(200, _xml("InitiateMultipartUploadResult", f"<UploadId>{upload_id}</UploadId>"))
            return
        parts = sorted(self._upload().iterdir(), key=lambda each: int(each.name))
        if any(part.stat().st_size < SMALLEST_PART for part in parts[:-1]):
            self._error(400, "EntityTooSmall", "A part is too small.")
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"".join(part.read_bytes() for part in parts))
        self._forget()
        bucket, _, key = name[1:].partition("/")
        told = f"<Bucket>{bucket}</Bucket><Key>{key}</Key><ETag>x</ETag><Location>{name}</Location>"
        self._answer(200, _xml("CompleteMultipartUploadResult", told))

    def _delete(self, file: Path, name: str) -> None:
        if "uploadId" in self.query:
            self._forget()
        else:
            file.unlink(missing_ok=True)
        self._answer(204, b"")

    def _upload(self) -> Path:
        return self.folder / f".upload-{self.query['uploadId']}"

    def _forget(self) -> None:
        for part in self._upload().iterdir():
            part.unlink()
        self._upload().rmdir()

    def _error(self, status: int, code: str, message: str) -> None:
        self._answer(status, _xml("Error", f"<Code>{code}</Code><Message>{message}</Message>"))

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/xml", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _up_to(delimiter: str, prefix: str, key: str) -> str:
    head, found, _ = key.removeprefix(prefix).partition(delimiter) if delimiter else (key, "", "")
    return f"{prefix}{head}{found}" if found else key


def _xml(name: str, content: str) -> bytes:
    return f'<?xml version="1.0"?><{name} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{content}</{name}>'.encode()


@contextmanager
def s3_server(folder: Path, *, full_after: int = 2**60) -> Iterator[str]:
    """The address of one in a process of its own, with a bucket called `backups`."""
    (folder / "backups").mkdir(parents=True)
    command = [sys.executable, "-m", "tests.support.s3_server", str(folder), str(full_after)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.kill()
        process.communicate()


if __name__ == "__main__":
    Handler.folder, Handler.full_after = Path(sys.argv[1]), int(sys.argv[2])
    served = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(served.server_port, flush=True)
    served.serve_forever()
