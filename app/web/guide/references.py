"""Parts of the guide that are made from the code, as Markdown; chapters say `<!-- made from the code: NAME -->`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from app.domain.audit import Action
from app.domain.builds import BuildStatus
from app.domain.decisions import Verdict
from app.domain.deployments import DeploymentStatus, StepStatus
from app.domain.health import CheckStatus
from app.web.shortcuts import SHORTCUTS


@dataclass(frozen=True)
class Reference:
    """`write` returns the Markdown. Where that needs much, `outline` returns enough to search: the same headings."""

    write: Callable[[], str]
    outline: Callable[[], str] | None = None


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown. Cells are Markdown, in one line each."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(each) for each in line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def codes(values: Iterable[str]) -> str:
    return ", ".join(f"`{each}`" for each in values)


def guide_references() -> dict[str, Reference]:
    """Those that need nothing but the domain and the pages."""
    return {
        "statuses": Reference(_statuses),
        "keys": Reference(_keys),
        "actions": Reference(lambda: codes(Action)),
    }


def _statuses() -> str:
    return table(
        ("of", "values"),
        [
            ("build, run, run of a flow", codes(BuildStatus)),
            ("deployment of an app", codes(DeploymentStatus)),
            ("a deployment's step, a flow's node", codes(StepStatus)),
            ("delivery", codes(("received", "processed", "ignored", "failed"))),
            ("health check", codes(CheckStatus)),
            ("decision", codes(Verdict)),
        ],
    )


def _keys() -> str:
    shown = [(" ".join(f"`{key}`" for key in keys.split()), what) for keys, what in SHORTCUTS]
    return table(("key", "what it does"), shown)
