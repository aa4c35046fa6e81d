"""The demo's repository and the delivery that a forge would send for its first push."""

from __future__ import annotations

import hmac
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

MAIN = '''\
"""A job: it starts, works, says what it did, and ends."""

import os
import platform
import time

print(f"Hello from Python {platform.python_version()}.", flush=True)
for step in range(1, 6):
    time.sleep(0.2)
    print(f"working: step {step} of 5", flush=True)
print(f"Done. This was commit {os.environ['JOBYARD_GIT_SHA'][:7]}.")
'''


@dataclass(frozen=True)
class Sample:
    url: str
    sha: str
    what: str


def sample_repository(path: Path) -> Sample:
    """Make a Git repository with one commit on main."""
    path.mkdir()
    (path / "main.py").write_text(MAIN)
    _git(path, "init", "--quiet", "--initial-branch=main")
    _git(path, "add", "main.py")
    author = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false")
    _git(path, *author, "commit", "--quiet", "--message", "Say hello")
    sha = _git(path, "rev-parse", "HEAD")
    return Sample(f"file://{path.resolve()}", sha, f"main.py, {len(MAIN.splitlines())} lines of Python")


def signed(sample: Sample, secret: str) -> tuple[bytes, dict[str, str]]:
    """Return the body and headers of GitHub's push event for this commit."""
    commit = {
        "id": sample.sha,
        "message": "Say hello",
        "author": {"name": "Ada", "email": "ada@example.com"},
        "added": ["main.py"],
        "removed": [],
        "modified": [],
    }
    push = {
        "ref": "refs/heads/main",
        "before": "0" * 40,
        "after": sample.sha,
        "created": True,
        "deleted": False,
        "forced": False,
        "compare": "",
        "commits": [commit],
        "head_commit": commit,
        "pusher": {"name": "ada"},
        "repository": {
            "name": "hello",
            "full_name": "demo/hello",
            "clone_url": sample.url,
            "html_url": sample.url,
            "ssh_url": sample.url,
        },
    }
    body = json.dumps(push).encode()
    headers = {
        "Content-Type": "application/json",
        "X-GitHub-Event": "push",
        "X-GitHub-Delivery": token_hex(16),
        "X-Hub-Signature-256": "sha256=" + hmac.new(secret.encode(), body, "sha256").hexdigest(),
    }
    return body, headers


def _git(path: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=path, check=True, capture_output=True, text=True)
    return done.stdout.strip()
