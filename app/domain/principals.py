"""Who asks for something, and what they may do."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Role(enum.StrEnum):
    """Each may do what those before it may."""

    VIEWER = "viewer"  # read
    OPERATOR = "operator"  # change jobs, build, run, cancel
    ADMIN = "admin"  # projects, tokens, users


_RANK = {role: rank for rank, role in enumerate(Role)}


@dataclass(frozen=True)
class Principal:
    """Somebody who was identified. `project_id` limits a token to one project; None means all."""

    name: str
    role: Role
    project_id: int | None = None
    is_browser: bool = False

    def may(self, role: Role, project_id: int | None = None) -> bool:
        """Whether the principal has the role in this project, or (None) in the whole installation."""
        in_reach = self.project_id is None or self.project_id == project_id
        return in_reach and _RANK[self.role] >= _RANK[role]
