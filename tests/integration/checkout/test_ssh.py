"""Repositories that are reached by ssh: keys that are made here, and servers that are known by theirs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from app.checkout import AuthRefused, Checkouts, Credential, shown_by
from app.domain.errors import GitUnavailable
from app.domain.host_keys import HostKey, read_key
from app.secrets.key_pairs import new_key, public_key_of
from tests.support.repositories import Repository
from tests.support.ssh_server import SshServer, ssh_server


@pytest.fixture
def ssh(tmp_path: Path) -> Iterator[SshServer]:
    with ssh_server(tmp_path / "sshd") as running:
        yield running


@dataclass
class Pins:
    """Remembers what is pinned, as a database would."""

    of: list[tuple[Credential, Sequence[HostKey]]] = field(default_factory=list)

    def __call__(self, used: Credential, keys: Sequence[HostKey]) -> None:
        self.of.append((used, keys))


def test_a_key_that_was_made_here_fetches_and_the_servers_key_is_pinned(
    tmp_path: Path, repository: Repository, ssh: SshServer
) -> None:
    pins = Pins()
    checkouts = Checkouts(tmp_path / "check outs", frozenset({"ssh"}), git_time_limit_seconds=20, pin=pins)
    key = new_key()
    credential, url = Credential(key), ssh.url(repository.path)
    shown = read_key((ssh.folder / "first.pub").read_text())

    with pytest.raises(AuthRefused, match="refused access"):  # its public part is nowhere yet
        checkouts.fetch(url, sha=None, ref="main", credential=credential)
    assert pins.of == [(credential, (shown,))]  # so a page can show whom one is about to trust

    ssh.let_in(public_key_of(key))
    known = replace(credential, host_keys=(shown,))
    assert checkouts.fetch(url, sha=None, ref="main", credential=known) == repository.head
    assert len(pins.of) == 1
    assert not (checkouts.root / "known_hosts").exists()
    assert shown_by(ssh.host) == (shown,)

    other = read_key(ssh.take_host_key("second"))
    with pytest.raises(AuthRefused) as refused:
        checkouts.head_of(url, "main", known)
    assert str(refused.value) == (
        f"The ssh host key of {url} is not the one pinned for it, so nothing was sent. It showed {other.fingerprint}."
        " If the server's operator confirms the change, accept the new key at the credential; else somebody else may"
        " have answered."
    )
    accepted = replace(credential, host_keys=(other,))
    assert checkouts.head_of(url, "main", accepted) == repository.head


def test_a_server_that_is_down_shows_no_key(ssh: SshServer) -> None:
    ssh.stop()
    with pytest.raises(GitUnavailable) as refused:
        shown_by(ssh.host)
    assert str(refused.value) == f"No ssh server answered at {ssh.host}, port {ssh.port}."
