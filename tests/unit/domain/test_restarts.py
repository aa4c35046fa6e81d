from __future__ import annotations

import pytest

from app.domain.restarts import of_restart

MANY = "go on, and are followed again after a restart"


@pytest.mark.parametrize(
    ("builds", "runs", "said"),
    [
        (0, 0, "No run or build is at work: a restart interrupts nothing."),
        (0, 1, "1 run at work goes on, and is followed again after a restart."),
        (1, 0, "1 build at work begins anew after a restart."),
        (2, 1000, f"1,000 or more runs at work {MANY}; 2 builds at work begin anew after a restart."),
    ],
)
def test_what_a_restart_would_interrupt(builds: int, runs: int, said: str) -> None:
    assert of_restart(builds, runs) == said
