"""GitHub's push payloads, made from a real repository and signed as GitHub does."""

from __future__ import annotations

import hmac
import json
import subprocess
from pathlib import Path
from typing import Any

ZERO = "0" * 40
_TEMPLATES = (
    "forks keys collaborators teams hooks issue_events events assignees branches tags blobs git_tags git_refs"
    " trees statuses languages stargazers contributors subscribers subscription commits git_commits comments"
    " issue_comment contents compare merges archive downloads issues pulls milestones notifications labels"
    " releases deployments"
)
_USER_LINKS = "followers following gists starred subscriptions organizations repos events received_events"
_STATUS_LIST = {"A": "added", "M": "modified", "T": "modified", "D": "removed"}


def push_payload(
    repo_dir: Path,
    *,
    before: str | None,
    after: str | None,
    ref: str = "refs/heads/main",
    full_name: str = "acme/report",
    clone_url: str | None = None,
    pusher: str = "ada",
) -> dict[str, Any]:
    """The `push` event for moving `ref` from `before` to `after` (None: the ref did not, or does not, exist).

    `clone_url` is where the repository can be fetched from, by default the local one by file://.
    """
    shas: list[str] = []
    forced = False
    if after is not None and before is not None:
        shas = _git(repo_dir, "rev-list", "--reverse", "--topo-order", f"{before}..{after}").split()
        forced = _git(repo_dir, "merge-base", before, after) != before
    elif after is not None and ref.startswith("refs/heads/"):
        shas = [_git(repo_dir, "rev-parse", f"{after}^{{commit}}")]
    web = f"https://github.com/{full_name}"
    return {
        "ref": ref,
        "before": before or ZERO,
        "after": after or ZERO,
        "repository": _repository(full_name, clone_url or f"file://{repo_dir}"),
        "pusher": {"name": pusher, "email": f"{pusher}@example.com"},
        "sender": _user(pusher),
        "created": before is None,
        "deleted": after is None,
        "forced": forced,
        "base_ref": None,
        "compare": f"{web}/compare/{(before or ZERO)[:12]}...{(after or ZERO)[:12]}",
        "commits": [_commit(repo_dir, sha, web) for sha in shas],
        "head_commit": _commit(repo_dir, after, web) if after else None,
    }


def encode(payload: object) -> bytes:
    """The body as GitHub sends it."""
    return json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode()


def sign(secret: bytes, body: bytes) -> str:
    """The value of X-Hub-Signature-256."""
    return "sha256=" + hmac.new(secret, body, "sha256").hexdigest()


def push_headers(secret: bytes, body: bytes, delivery: str, event: str = "push") -> dict[str, str]:
    """The headers GitHub sends with a delivery."""
    return {
        "Content-Type": "application/json",
        "User-Agent": "GitHub-Hookshot/0000000",
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": delivery,
        "X-Hub-Signature-256": sign(secret, body),
    }


def _git(repo_dir: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(repo_dir), *arguments], capture_output=True, text=True)
    assert done.returncode == 0, f"git {arguments}: {done.stderr}"
    return done.stdout.strip()


def _commit(repo_dir: Path, sha: str, web: str) -> dict[str, Any]:
    shape = "%H%x00%T%x00%aI%x00%an%x00%ae%x00%cn%x00%ce%x00%B"
    found = _git(repo_dir, "log", "-1", f"--format={shape}", sha).split("\0")
    commit, tree, at, author, author_email, committer, committer_email, message = found
    files: dict[str, list[str]] = {"added": [], "removed": [], "modified": []}
    # As GitHub does, a merge lists what it brings to its first parent.
    diff = ("diff-tree", "-r", "-z", "--root", "--no-commit-id", "--name-status", "--no-renames")
    parents = _git(repo_dir, "rev-list", "-1", "--parents", commit).split()[1:]
    listed = _git(repo_dir, *diff, *([parents[0]] if parents else []), commit).split("\0")
    for status, name in zip(listed[::2], listed[1::2], strict=False):
        files[_STATUS_LIST[status]].append(name)
    return {
        "id": commit,
        "tree_id": tree,
        "distinct": True,
        "message": message.strip(),
        "timestamp": at,
        "url": f"{web}/commit/{commit}",
        "author": {"name": author, "email": author_email},
        "committer": {"name": committer, "email": committer_email},
        **files,
    }


def _user(login: str) -> dict[str, Any]:
    api = f"https://api.github.com/users/{login}"
    return {
        "login": login,
        "id": 1,
        "node_id": "MDQ6VXNlcjE=",
        "avatar_url": "https://avatars.example.com/u/1",
        "gravatar_id": "",
        "url": api,
        "html_url": f"https://github.com/{login}",
        **{f"{link}_url": f"{api}/{link}" for link in _USER_LINKS.split()},
        "type": "User",
        "site_admin": False,
    }


def _repository(full_name: str, clone_url: str) -> dict[str, Any]:
    owner, _, name = full_name.partition("/")
    web, api = f"https://github.com/{full_name}", f"https://api.github.com/repos/{full_name}"
    counts = "size stargazers_count watchers_count forks_count open_issues_count forks open_issues watchers"
    flags = "fork has_wiki has_pages archived is_template web_commit_signoff_required private"
    return {
        "id": 1,
        "node_id": "MDEwOlJlcG9zaXRvcnkx",
        "name": name,
        "full_name": full_name,
        "owner": _user(owner),
        "html_url": web,
        "description": None,
        "url": web,
        **{f"{kind}_url": f"{api}/{kind}" for kind in _TEMPLATES.split()},
        "created_at": 1767225600,
        "updated_at": "2026-01-01T00:00:00Z",
        "pushed_at": 1767225660,
        "git_url": f"git://github.com/{full_name}.git",
        "ssh_url": f"git@github.com:{full_name}.git",
        "clone_url": clone_url,
        "svn_url": web,
        "homepage": None,
        "language": "Python",
        "mirror_url": None,
        "license": None,
        "default_branch": "main",
        "master_branch": "main",
        "topics": [],
        "visibility": "public",
        "custom_properties": {},
        **dict.fromkeys(counts.split(), 0),
        **dict.fromkeys(flags.split(), False),
        **dict.fromkeys(("has_issues", "has_projects", "has_downloads"), True),
    }
