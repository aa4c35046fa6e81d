"""Which ends of a container are believed, by what the engine remembers of them."""

import pytest

from app.engines.base import Exit, ExitKind
from app.engines.docker.witness import Recollection, corroborated

TERM, OTHER = frozenset({"15"}), frozenset({"1", "10"})
OK = Exit(ExitKind.EXITED, 0)


@pytest.mark.parametrize(
    ("recollection", "believed"),
    [
        (Recollection(saw_end=True), True),
        (Recollection(saw_end=True, signals=OTHER), True),
        (Recollection(saw_end=True, signals=TERM), False),
        (Recollection(saw_end=True, signals=frozenset({"9"})), False),
        (Recollection(saw_end=False), True),  # long ago: it may have forgotten
        (Recollection(saw_end=False, was_restarted=True), False),
        (Recollection(saw_end=False, was_restarted=True, keeps_running=True), True),
        (Recollection(saw_end=False, was_restarted=True, keeps_running=True, same_boot=False), False),
    ],
)
def test_what_is_believed(recollection: Recollection, believed: bool) -> None:
    end = corroborated(OK, recollection)
    assert end.kind is (ExitKind.EXITED if believed else ExitKind.ENGINE_FAILED)
    assert end.exit_code == 0
    assert bool(end.detail) is not believed


@pytest.mark.parametrize("kind", [ExitKind.LOST, ExitKind.ENGINE_FAILED])
def test_only_an_exit_can_be_doubted(kind: ExitKind) -> None:
    assert corroborated(Exit(kind), Recollection(saw_end=True, signals=TERM)) == Exit(kind)
