"""Asks an ssh server for its host keys. What it shows is believed by nobody yet: a person compares and accepts it."""

from __future__ import annotations

import subprocess

from app.checkout.addresses import addresses_of
from app.domain.errors import GitUnavailable
from app.domain.host_keys import SSH_PORT, HostKey, keys_in
from app.domain.hosts import host_and_port

TIME_LIMIT_SECONDS = 5


def shown_by(server: str) -> tuple[HostKey, ...]:
    """Return the keys that `git.example.com` or `git.example.com:2222` shows now. Raises GitUnavailable, FetchRefused.

    It is asked at an address that was looked at (`app.checkout.addresses`).
    """
    host, port = host_and_port(server)
    addresses = addresses_of(server, host, port or SSH_PORT)
    for address in addresses:
        command = ["ssh-keyscan", "-T", str(TIME_LIMIT_SECONDS), "-p", str(port or SSH_PORT), "--", address]
        try:
            said = subprocess.run(command, capture_output=True, timeout=3 * TIME_LIMIT_SECONDS)
        except FileNotFoundError:
            raise GitUnavailable(
                "There is no ssh-keyscan on the PATH of this machine: install the package openssh-client."
            ) from None
        except subprocess.TimeoutExpired:
            continue
        if found := tuple(dict.fromkeys(keys_in(said.stdout.decode(errors="replace")))):
            return found
    raise GitUnavailable(f"No ssh server answered at {server}, port {port or SSH_PORT}.")
