"""What may reach git, what is passed to it, and what its words mean."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.checkout import AuthRefused, CommitNotFound, Credential, FetchRefused, RepositoryNotFound
from app.checkout.credential import access, ssh_command
from app.checkout.failures import cause, explain, is_damage, is_no_such_ref
from app.checkout.urls import Remote, full_ref, parse_remote
from app.domain.errors import DiskUnavailable, GitUnavailable, InvalidValue, NotFound

ALL = frozenset({"https", "ssh", "http", "file"})
URL = "https://git.example.com/acme/report.git"


@pytest.mark.parametrize(
    ("url", "transport"),
    [
        (URL, "https"),
        ("https://git.example.com:8443/acme/report", "https"),
        ("https://git.sr.ht/~ada/report", "https"),
        ("https://git.example.com/acme/my%20report", "https"),
        ("https://[2001:db8::1]:3000/acme/report.git", "https"),
        ("http://127.0.0.1:3000/acme/report.git", "http"),
        ("ssh://git@git.example.com:2222/acme/report.git", "ssh"),
        ("ssh://git.example.com/acme/report.git", "ssh"),
        ("git@git.example.com:acme/report.git", "ssh"),
        ("file:///srv/git/report.git", "file"),
    ],
)
def test_urls_that_may_be_fetched(url: str, transport: str) -> None:
    assert parse_remote(url, ALL) == Remote(url, transport)


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("https://ada:s3cret@git.example.com/acme/report", "must not carry a user or password"),
        ("https://s3cret@git.example.com/acme/report", "must not carry a user or password"),
        ("ssh://git:s3cret@git.example.com/acme/report", "must look like"),
        ("https://git.example.com/acme/report?token=s3cret", "query or fragment"),
        ("https://git.example.com/acme/report#main", "query or fragment"),
        ("https://git.example.com:65536/acme/report", "port of the repository URL must be"),
        ("ssh://git@git.example.com:0/acme/report", "port of the repository URL must be"),
        ("ext::sh -c true", "ext is not a Git transport"),
        ("ext://x/y", "ext is not a Git transport"),
        ("git://git.example.com/acme/report", "git is not a Git transport"),
        ("FILE:///etc", "FILE is not a Git transport"),
        ("fd::17", "fd is not a Git transport"),
        ("file://localhost/srv/x", "must look like"),
        ("file://-oProxyCommand=x/y", "must look like"),
        ("/srv/git/report", "must look like"),
        ("../report", "must look like"),
        ("report", "must look like"),
        ("-u", "must look like"),
        ("--upload-pack=x", "must look like"),
        ("ssh://-oProxyCommand=x/acme/report", "must look like"),
        ("ssh://git@-oProxyCommand=x/acme/report", "must look like"),
        ("-oProxyCommand=x:acme/report", "must look like"),
        ("git@-host:acme/report", "must look like"),
        ("git@host:-acme/report", "must look like"),
        ("https://git.example.com/-acme/report", "must look like"),
        ("https://git.example.com/a%00b", "must look like"),
        ("https://git.example.com/a%0ab", "must look like"),
        ("https://git.example.com/$HOME/report", "must look like"),
        ("https://git.example.com/a b", "must look like"),
        ("https://git.example.com/a\nb", "must look like"),
        ("https://git.example.com/a\n", "must look like"),
        ("https://git.example.com", "must look like"),
        ("https:///acme/report", "must look like"),
        ("https://git.example.com\\@evil.example/x", "must not carry"),
        ("", "must look like"),
    ],
)
def test_urls_that_may_not(url: str, part: str) -> None:
    with pytest.raises(InvalidValue, match=part) as caught:
        parse_remote(url, ALL)
    assert caught.value.field == "source.git.url"
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("url", ["file:///srv/x", "http://git.example.com/a/b", "git@host:a/b"])
def test_a_transport_that_is_not_allowed_names_the_setting(url: str) -> None:
    with pytest.raises(InvalidValue, match="JOBYARD_GIT_ALLOW"):
        parse_remote(url, frozenset({"https"}))


@given(st.text(max_size=60) | st.from_regex(r"(https|ssh|file)://.{0,40}"))
def test_whatever_passes_is_one_plain_word(url: str) -> None:
    try:
        remote = parse_remote(url, ALL)
    except InvalidValue:
        return
    assert not remote.url.startswith("-")
    assert not set(remote.url) & set(" \t\r\n\0\"'`$;&|<>(){}*?!\\#")


@pytest.mark.parametrize(
    ("ref", "full"),
    [
        ("main", "refs/heads/main"),
        ("feature/größe", "refs/heads/feature/größe"),
        ("refs/tags/v1.0", "refs/tags/v1.0"),
        ("v1-rc.1", "refs/heads/v1-rc.1"),
    ],
)
def test_refs(ref: str, full: str) -> None:
    assert full_ref(ref) == full


NO_REFS = [
    "",
    "-x",
    "a..b",
    "a b",
    "a\nb",
    "a~1",
    "a^",
    "a:b",
    "a?b",
    "a*",
    "a[b",
    "a\\b",
    "a\x7fb",
    "/a",
    "a/",
]
NO_REFS += ["a//b", ".a", "a/.b", "a.", "a.lock", "a.lock/b", "a@{1}", "@", "\ud800", "x" * 1001]


@pytest.mark.parametrize("ref", NO_REFS)
def test_what_is_no_ref(ref: str) -> None:
    with pytest.raises(InvalidValue):
        full_ref(ref)


@pytest.mark.parametrize(
    ("stderr", "kind", "part"),
    [
        (
            "fatal: could not read Username for 'https://h': terminal prompts disabled",
            AuthRefused,
            "credential",
        ),
        (
            "remote: Invalid token\nfatal: Authentication failed for 'https://h/'",
            AuthRefused,
            "Invalid token",
        ),
        ("fatal: unable to access 'x': The requested URL returned error: 403", AuthRefused, "credential"),
        ("git@h: Permission denied (publickey).\nfatal: Could not read", AuthRefused, "credential"),
        (
            "No ED25519 host key is known for h\nHost key verification failed.",
            AuthRefused,
            "accept the new key",
        ),
        ("fatal: unable to access 'x': The requested URL returned error: 302", FetchRefused, "redirects"),
        ("fatal: repository 'https://h/x/' not found", RepositoryNotFound, "no repository"),
        ("ERROR: Repository not found.\nfatal: Could not read", RepositoryNotFound, "no repository"),
        ("fatal: '/x' does not appear to be a git repository", RepositoryNotFound, "no repository"),
        (
            "error: object 1: gitmodulesUrl: bad\nfatal: fsck error in packed object",
            FetchRefused,
            "gitmodulesUrl",
        ),
        ("fatal: write error: File too large\nfatal: index-pack failed", FetchRefused, "4 MiB"),
        ("fatal: detected dubious ownership in repository at '/x'", FetchRefused, "owner"),
        ("fatal: write error: No space left on device", DiskUnavailable, "JOBYARD_DATA"),
        (
            "error: sha1 file 'trees/0.index.lock' write error. Out of diskspace",
            DiskUnavailable,
            "JOBYARD_DATA",
        ),
        ("error: cannot update ref 'refs/heads/x': couldn't write 'x.lock'", DiskUnavailable, "JOBYARD_DATA"),
        ("error: unable to create x: Read-only file system", DiskUnavailable, "Read-only"),
        ("remote: fatal: write error: No space left on device", GitUnavailable, "could not be reached"),
        ("fatal: unable to access 'x': Could not resolve host: h", GitUnavailable, "resolve host"),
        ("fatal: unable to access 'x': The requested URL returned error: 500", GitUnavailable, "500"),
        ("fatal: unable to access 'x': SSL certificate problem: expired", GitUnavailable, "expired"),
        ("", GitUnavailable, "nothing"),
    ],
)
def test_what_git_said_has_a_meaning(stderr: str, kind: type[Exception], part: str, tmp_path: Path) -> None:
    error = explain(URL, stderr, (), 4 * 1024**2, tmp_path)
    assert type(error) is kind
    assert part in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    "stderr",
    [
        "fatal: couldn't find remote ref x",
        "fatal: remote error: upload-pack: not our ref 1",
        "error: Server does not allow request for unadvertised object 1",
    ],
)
def test_a_missing_object_or_ref_is_seen(stderr: str) -> None:
    assert is_no_such_ref(stderr)
    assert not is_damage(stderr)


def test_network_failures_are_no_damage() -> None:
    for words in (
        "fatal: unable to access 'x': Broken pipe",
        "fatal: early EOF",
        "fatal: repository 'x' not found",
    ):
        assert not is_damage(words)


@given(st.text(alphabet="abc*\n ", min_size=4, max_size=12).filter(str.strip), st.text(max_size=40))
def test_a_secret_is_masked_wherever_git_repeats_it(secret: str, around: str) -> None:
    told = cause(f"fatal: {around}{secret}{around}", [secret])
    assert secret not in told.replace("***", "")
    assert told.isprintable()
    assert len(told) <= 300


def test_errors_of_what_is_missing_are_not_found() -> None:
    assert issubclass(CommitNotFound, NotFound)
    assert issubclass(RepositoryNotFound, NotFound)


def test_a_token_goes_to_its_own_host_only(tmp_path: Path) -> None:
    with access(Remote(URL, "https"), Credential("s3cret"), tmp_path) as given_access:
        ((key, value),) = given_access.config
    assert key == "http.https://git.example.com/.extraHeader"
    assert value == "Authorization: Basic eC1hY2Nlc3MtdG9rZW46czNjcmV0"
    assert set(given_access.secrets) == {"eC1hY2Nlc3MtdG9rZW46czNjcmV0", "s3cret"}
    assert "s3cret" not in repr(given_access)
    assert "s3cret" not in repr(Credential("s3cret"))


def test_a_key_is_a_private_file_for_as_long_as_it_is_used(tmp_path: Path) -> None:
    remote = Remote("git@git.example.com:acme/report.git", "ssh")
    with access(remote, Credential("-----KEY-----\nabc\n"), tmp_path / "known hosts") as given_access:
        words = shlex.split(dict(given_access.environment)["GIT_SSH_COMMAND"])
        key = Path(words[words.index("-i") + 1])
        assert key.read_text() == "-----KEY-----\nabc\n"
        assert key.stat().st_mode & 0o777 == 0o600
    assert not key.exists()


def test_ssh_takes_nothing_from_the_host() -> None:
    words = shlex.split(ssh_command(Path("/k e y"), Path("/known")))
    assert words[:5] == ["ssh", "-F", "/dev/null", "-i", "/k e y"]
    for option in (
        "IdentitiesOnly=yes",
        "IdentityAgent=none",
        "BatchMode=yes",
        'UserKnownHostsFile="/known"',
    ):
        assert option in words


def test_credentials_differ_in_name_only_by_what_they_are(tmp_path: Path) -> None:
    def who(credential: Credential | None) -> str:
        with access(Remote(URL, "https"), credential, tmp_path) as given_access:
            return given_access.who

    assert who(Credential("a")) == who(Credential("a"))
    assert len({who(None), who(Credential("a")), who(Credential("b")), who(Credential("a", "ada"))}) == 4
