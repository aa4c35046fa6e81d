"""Where a forge shows a commit or what lies between two, as far as a repository's address tells.

GitHub, GitLab, Gitea, Forgejo and Bitbucket have addresses of their own shape; other hosts get GitHub's, which most
forges take too.
"""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

from app.domain.events import repo_key

_SHA = re.compile(r"[0-9a-f]{7,64}")
_HOST_SIGNS = frozenset(" \"<>'")  # in no name of a host
_PATH = "/~.+-_@"
_NAMES = {
    "github": "github",
    "gitlab": "gitlab",
    "bitbucket": "bitbucket",
    "gitea": "gitea",
    "forgejo": "gitea",
    "codeberg": "gitea",
}
_API_PATHS = {"/api/v3": "github", "/api/v4": "gitlab", "/api/v1": "gitea"}


def repository_page(url: str) -> str | None:
    """The web address of a repository; None for one on no host, such as a local folder."""
    scheme, separator, _ = url.strip().partition("://")
    key = repo_key(url)
    try:
        parts = urlsplit(url.strip() if separator else f"ssh://{key}")
        port = parts.port
    except ValueError:
        return None
    if key.startswith("file:") or not parts.hostname or not _HOST_SIGNS.isdisjoint(parts.hostname):
        return None
    is_web = scheme in ("http", "https") and bool(separator)
    host = parts.hostname if port is None or not is_web else f"{parts.hostname}:{port}"
    path = parts.path.strip("/").removesuffix(".git")
    return f"{scheme if is_web else 'https'}://{host}/{quote(path, safe=_PATH)}" if path else None


def commit_page(url: str, sha: str | None) -> str | None:
    """Where the forge shows a commit."""
    page = repository_page(url)
    if page is None or not sha or not _SHA.fullmatch(sha):
        return None
    match _kind(page):
        case "gitlab":
            return f"{page}/-/commit/{sha}"
        case "bitbucket":
            return f"{page}/commits/{sha}"
        case _:
            return f"{page}/commit/{sha}"


def comparison_page(url: str, before: str, after: str) -> str | None:
    """Where the forge shows what is in `after` and not in `before`."""
    page = repository_page(url)
    if page is None or not _SHA.fullmatch(before) or not _SHA.fullmatch(after):
        return None
    match _kind(page):
        case "gitlab":
            return f"{page}/-/compare/{before}...{after}"
        case "bitbucket":
            return f"{page}/branches/compare/{after}%0D{before}"
        case _:
            return f"{page}/compare/{before}...{after}"


def kind_of(host: str, api_url: str = "") -> str:
    """The kind of forge that a host is, by its name or by where its API is; empty if neither tells."""
    path = urlsplit(api_url).path.rstrip("/")
    by_path = next((kind for end, kind in _API_PATHS.items() if path.endswith(end)), "")
    by_name = next((kind for part, kind in _NAMES.items() if part in host.lower()), "")
    return by_path or by_name or ("github" if urlsplit(api_url).hostname == "api.github.com" else "")


def _kind(page: str) -> str:
    return kind_of(urlsplit(page).hostname or "")
