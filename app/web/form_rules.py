"""What the values of forms are held to by the installation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from app.domain.plans import Plan


@dataclass(frozen=True)
class FormRules:
    """Validators find it in their context; without it they look only at what a value is like."""

    plans: Mapping[str, Plan]
    check_git_url: Callable[[str], None]  # raises InvalidValue
