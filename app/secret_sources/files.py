"""Secrets in files: a directory for each project, and one for all of them."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from app.domain import limits
from app.domain.external_secrets import SHARED, SecretRefused, SecretUnavailable, is_file_path

MOST_BYTES = 4 * limits.VARIABLE  # which is as many characters, at least


@dataclass(frozen=True)
class SecretFiles:
    """Reads below `root`. Links are followed as long as they stay in the project's directory, as those of mounted
    secrets do; what that directory itself may be a link to is the operator's to say.
    """

    root: Path

    def read(self, path: str, project: str) -> str:
        """The text of a file. Raises SecretRefused, SecretUnavailable with the rest of a sentence."""
        if not is_file_path(path):
            raise SecretRefused("it is no path below a directory of secrets.")
        first, _, rest = path.partition("/")
        owner, below = (SHARED, rest) if first == SHARED and rest else (project, path)
        try:
            data = _read(self.root / owner, below)
        except (FileNotFoundError, NotADirectoryError):
            raise SecretRefused(
                f"there is no such file; put it into {owner}/ of JOBYARD_SECRETS_DIR."
            ) from None
        except PermissionError:
            raise SecretRefused("the server's user may not read it; give it that right.") from None
        except RuntimeError:  # how Python says that links lead round
            raise SecretRefused("it is a link that leads to itself; put the file itself there.") from None
        except OSError as error:
            raise SecretUnavailable(f"it can't be read now ({error.strerror}).") from None
        if len(data) > MOST_BYTES:
            raise SecretRefused(f"it has more than {MOST_BYTES:,} bytes; take a smaller file.")
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise SecretRefused("it is no UTF-8 text; encode it, such as in base64.") from None


def _read(directory: Path, below: str) -> bytes:
    base = directory.resolve()
    found = (base / below).resolve(strict=True)
    if not found.is_relative_to(base):
        raise SecretRefused(
            "it is a link that leads out of its directory of secrets; put the file itself there."
        )
    # A pipe or device would be waited for; the last part can't have become a link since.
    descriptor = os.open(found, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise SecretRefused("it is no regular file; name one.")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(MOST_BYTES + 1)
    finally:
        os.close(descriptor)
