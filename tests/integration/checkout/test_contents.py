"""What comes with a commit when it is asked for: submodules and Git LFS files, by the rules of any repository."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.checkout import AuthRefused, Checkouts, Credential, FetchRefused, GitStopped
from app.checkout.submodules import MOST, resolved
from tests.support.git_server import GitServer, git_server
from tests.support.repositories import Repository

ALLOW = frozenset({"https", "ssh", "http", "file"})
ATTRIBUTES = "*.bin filter=lfs diff=lfs merge=lfs -text\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "served"


@pytest.fixture
def server(root: Path) -> Iterator[GitServer]:
    root.mkdir()
    with git_server(root) as server:
        yield server


@pytest.fixture
def checkouts(tmp_path: Path) -> Checkouts:
    return Checkouts(tmp_path / "checkouts", ALLOW, git_time_limit_seconds=20)


def with_submodule(root: Path, name: str, url: str, sha: str, path: str = "libs/x") -> Repository:
    """A repository whose only submodule is `sha` of `url`."""
    repository = Repository(root / name)
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{sha},{path}")
    text = f'[submodule "{name}"]\n\tpath = {path}\n\turl = {url}\n'
    (repository.path / ".gitmodules").write_text(text)
    (repository.path / "main.txt").write_text("main\n")
    repository.git("add", ".gitmodules", "main.txt")
    repository.commit_staged("With a submodule")
    return repository


def fetched(
    checkouts: Checkouts, url: str, credential: Credential | None = None, **wanted: bool
) -> dict[str, bytes]:
    """The files at the head of main, twice over: a tree that was filled before is one like any other."""
    sha = checkouts.fetch(url, sha=None, ref="main", credential=credential)
    seen: list[dict[str, bytes]] = []
    for _ in range(2):
        with checkouts.tree(url, sha, credential=credential, **wanted) as tree:
            files = (path for path in tree.rglob("*") if path.is_file())
            seen.append({str(path.relative_to(tree)): path.read_bytes() for path in files})
    with checkouts.tree(url, sha) as tree:
        assert not list(tree.glob("libs/x/*"))
    assert seen[0] == seen[1]
    return seen[0]


def test_submodules_are_fetched_with_theirs(checkouts: Checkouts, root: Path, server: GitServer) -> None:
    inner = Repository(root / "inner")
    deepest = inner.commit({"deep.txt": "deep\n"})
    library = with_submodule(root, "library", "./../inner", deepest, path="vendored")
    inner.commit({"deep.txt": "newer\n"})
    with_submodule(root, "main", "../library", library.head)
    files = fetched(checkouts, server.url("main"), submodules=True)
    assert files["libs/x/main.txt"] == b"main\n"
    assert files["libs/x/vendored/deep.txt"] == b"deep\n"
    assert "libs/x/main.txt" not in fetched(checkouts, server.url("main"))


def test_a_submodule_of_another_host_gets_no_credential(
    checkouts: Checkouts, root: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    with git_server(root_of(root)) as server, git_server(tmp_path / "elsewhere") as other:
        sha = Repository(tmp_path / "elsewhere" / "library").commit({"lib.txt": "lib\n"})
        with_submodule(root, "main", other.url("library"), sha)
        server.user, server.password = "ada", "secret-token"
        files = fetched(checkouts, server.url("main"), Credential("secret-token", "ada"), submodules=True)
        assert files["libs/x/lib.txt"] == b"lib\n"
        assert set(other.authorizations) == {""}


def root_of(path: Path) -> Path:
    path.mkdir(exist_ok=True)
    return path


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ext::sh -c 'touch /tmp/owned'", "ext is not a Git transport"),
        ("--upload-pack=touch", "disallowed submodule url"),
        ("file:///etc", "path on this machine"),
        ("http://169.254.169.254/x.git", "link-local"),
        ("../../../../x", "leads out of"),
    ],
)
def test_an_address_that_no_repository_may_have(
    checkouts: Checkouts, root: Path, server: GitServer, url: str, why: str
) -> None:
    with_submodule(root, "main", url, "a" * 40)
    with pytest.raises(FetchRefused, match=why):
        fetched(checkouts, server.url("main"), submodules=True)


def test_a_submodule_that_nothing_names_or_has(checkouts: Checkouts, root: Path, server: GitServer) -> None:
    Repository(root / "library").commit({"lib.txt": "lib\n"})
    main = with_submodule(root, "main", "../library", "a" * 40)
    with pytest.raises(FetchRefused, match="Submodule libs/x: The commit aaaaaaaaaaaa is not in"):
        fetched(checkouts, server.url("main"), submodules=True)
    main.git("rm", "--quiet", "--cached", ".gitmodules")
    main.commit_staged("Without names")
    with pytest.raises(FetchRefused, match="Submodule libs/x has no address"):
        fetched(checkouts, server.url("main"), submodules=True)


@pytest.mark.parametrize("hanging", ["submodule", "list of LFS files", "LFS file"])
def test_what_is_fetched_with_a_commit_is_stopped_soon(
    checkouts: Checkouts, root: Path, server: GitServer, tmp_path: Path, hanging: str
) -> None:
    stop = threading.Event()
    with git_server(root_of(tmp_path / "elsewhere")) as other:
        other.mode = "hang"
        if hanging == "submodule":
            with_submodule(root, "main", other.url("library"), "a" * 40)
        else:
            Repository(root / "main").commit({".gitattributes": ATTRIBUTES, "a.bin": pointer(b"large")})
            keep(server, b"large")
            server.large_at = other.url("large")
        url = server.url("main")
        sha = checkouts.fetch(url, sha=None, ref="main")
        asked = other
        if hanging == "list of LFS files":
            server.mode, asked = "hang", server
        thread = threading.Thread(target=lambda: asked.reached.wait(10) and stop.set())
        thread.start()
        began = time.monotonic()
        with pytest.raises(GitStopped), checkouts.tree(url, sha, submodules=True, lfs=True, should_stop=stop):
            pytest.fail("nothing answered")
        thread.join()
        assert time.monotonic() - began < 20  # and not once the server has been silent for too long
    with checkouts.tree(url, sha) as tree:
        assert not list(tree.glob("libs/x/*"))
        assert hanging == "submodule" or (tree / "a.bin").read_text() == pointer(b"large")


def test_submodules_of_themselves_end(checkouts: Checkouts, root: Path, server: GitServer) -> None:
    sha = Repository(root / "n0").commit({"lib.txt": "lib\n"})
    for number in range(1, 8):
        sha = with_submodule(root, f"n{number}", f"../n{number - 1}", sha).head
    with pytest.raises(FetchRefused, match="more than 5 repositories deep"):
        fetched(checkouts, server.url("n7"), submodules=True)
    assert MOST < 1000


@pytest.mark.parametrize(
    ("parent", "url", "expected"),
    [
        ("https://host/a/b.git", "../c.git", "https://host/a/c.git"),
        ("https://host:8443/a/b/", "../../d/c", "https://host:8443/d/c"),
        ("https://host/a/b", "./c", "https://host/a/b/c"),
        ("git@host:a/b.git", "../c.git", "git@host:a/c.git"),
        ("git@host:b.git", "../c.git", "git@host:c.git"),
        ("ssh://git@host/a/b", "../c", "ssh://git@host/a/c"),
        ("file:///srv/a/b", "../c", "file:///srv/a/c"),
        ("https://host/a/b", "https://other/x", "https://other/x"),
    ],
)
def test_relative_addresses_start_at_the_parents(parent: str, url: str, expected: str) -> None:
    assert resolved(parent, url) == expected


def pointer(data: bytes) -> str:
    oid = hashlib.sha256(data).hexdigest()
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(data)}\n"


def keep(server: GitServer, data: bytes) -> str:
    oid = hashlib.sha256(data).hexdigest()
    server.large[oid] = data
    return oid


def test_lfs_files_take_the_place_of_their_pointers(
    checkouts: Checkouts, root: Path, server: GitServer
) -> None:
    repository = Repository(root / "main")
    contents = {f"data/{n}.bin": b"large %d" % n * 1000 for n in range(120)}
    repository.commit(
        {".gitattributes": ATTRIBUTES, "small.txt": "small\n"} | {n: pointer(d) for n, d in contents.items()}
    )
    for data in contents.values():
        keep(server, data)
    files = fetched(checkouts, server.url("main"), lfs=True)
    assert {name: data for name, data in files.items() if name.endswith(".bin")} == contents
    assert files["small.txt"] == b"small\n"
    assert fetched(checkouts, server.url("main"))["data/1.bin"] == pointer(contents["data/1.bin"]).encode()


def test_the_credential_goes_to_the_repositorys_own_origin_alone(
    checkouts: Checkouts, root: Path, server: GitServer, tmp_path: Path
) -> None:
    Repository(root / "main").commit({".gitattributes": ATTRIBUTES, "a.bin": pointer(b"large")})
    server.user, server.password = "ada", "secret-token"
    credential = Credential("secret-token", "ada")
    keep(server, b"large")
    assert fetched(checkouts, server.url("main"), credential, lfs=True)["a.bin"] == b"large"
    with git_server(tmp_path) as other:
        keep(other, b"large")
        server.large_at = other.url("large")
        assert fetched(checkouts, server.url("main"), credential, lfs=True)["a.bin"] == b"large"
        assert set(other.authorizations) == {""}
    with pytest.raises(AuthRefused):
        fetched(checkouts, server.url("main"), Credential("wrong", "ada"), lfs=True)


@pytest.mark.parametrize(
    ("at", "why"),
    [
        ("http://169.254.169.254", "link-local"),
        ("file:///etc", "not allowed"),
        ("http://user:word@127.0.0.1:1", "not allowed"),
        ("ftp://127.0.0.1", "not allowed"),
    ],
)
def test_a_server_that_sends_us_elsewhere(
    checkouts: Checkouts, root: Path, server: GitServer, at: str, why: str
) -> None:
    Repository(root / "main").commit({".gitattributes": ATTRIBUTES, "a.bin": pointer(b"large")})
    keep(server, b"large")
    server.large_at = at
    with pytest.raises(FetchRefused, match=why):
        fetched(checkouts, server.url("main"), lfs=True)


@pytest.mark.parametrize("sent", [b"other", b"longer than it was", b""])
def test_a_file_that_is_not_what_its_pointer_says(
    checkouts: Checkouts, root: Path, server: GitServer, sent: bytes
) -> None:
    Repository(root / "main").commit({".gitattributes": ATTRIBUTES, "a.bin": pointer(b"large")})
    server.large[keep(server, b"large")] = sent
    with pytest.raises(FetchRefused, match=r"The LFS file a\.bin of .* is not what its pointer says"):
        fetched(checkouts, server.url("main"), lfs=True)


def test_a_file_that_the_server_does_not_have(checkouts: Checkouts, root: Path, server: GitServer) -> None:
    Repository(root / "main").commit({".gitattributes": ATTRIBUTES, "a.bin": pointer(b"large")})
    with pytest.raises(FetchRefused, match=r"does not have the LFS file a\.bin: Object does not exist"):
        fetched(checkouts, server.url("main"), lfs=True)


def test_too_much_is_refused_before_anything_is_fetched(
    root: Path, server: GitServer, tmp_path: Path
) -> None:
    Repository(root / "main").commit({".gitattributes": ATTRIBUTES, "a.bin": pointer(b"x" * 3_000_000)})
    small = Checkouts(tmp_path / "small", ALLOW, max_file_bytes=2 * 1024**2)
    with pytest.raises(FetchRefused, match="more than 2 MiB of them"):
        fetched(small, server.url("main"), lfs=True)
    assert not any("lfs" in each for each in server.requests)


def test_lfs_needs_http(checkouts: Checkouts, root: Path, server: GitServer) -> None:
    repository = Repository(root / "main")
    repository.commit({".gitattributes": ATTRIBUTES, "a.bin": pointer(b"large")})
    with pytest.raises(FetchRefused, match="can't be had by file"):
        fetched(checkouts, repository.url, lfs=True)
