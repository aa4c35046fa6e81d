"""Git: mirrors of the repositories jobs come from, and work trees at exactly one commit.

`Checkouts` is the door. Nothing here trusts the repository, its server, or the host's own Git configuration.
"""

from app.checkout.checkouts import Checkouts
from app.checkout.command import GitStopped, StopSignal, find_git
from app.checkout.credential import Credential
from app.checkout.failures import (
    AuthRefused,
    CommitNotFound,
    FetchRefused,
    RefNotFound,
    RepositoryNotFound,
)
from app.checkout.host_keys import shown_by

__all__ = [
    "AuthRefused",
    "Checkouts",
    "CommitNotFound",
    "Credential",
    "FetchRefused",
    "GitStopped",
    "RefNotFound",
    "RepositoryNotFound",
    "StopSignal",
    "find_git",
    "shown_by",
]
