"""What a newcomer types first."""

import re
import socket
import subprocess
from pathlib import Path

from tests.support.project import ROOT


def test_the_demo_runs_a_push_to_the_end_of_its_run() -> None:
    with socket.socket() as taken:  # another server may have the usual port: the demo takes a free one
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 8080))
            taken.listen()
        except OSError:
            pass
        done = subprocess.run(
            [ROOT / "scripts/demo", "--exit"], capture_output=True, text=True, timeout=280, check=False
        )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [re.sub(r"^ *[\d.]+ s  |^ *\| ", "", line) for line in done.stdout.splitlines()]
    steps = [f"working: step {number} of 5" for number in range(1, 6)]
    begin = lines.index(steps[0])
    assert lines[begin : begin + 5] == steps
    assert lines[begin - 1].startswith("Hello from Python 3.")
    assert re.fullmatch(r"Done\. This was commit [0-9a-f]{7}\.", lines[begin + 5])
    status_page = re.search(r"Status page +http://127\.0\.0\.1:(\d+)/runs/1$", done.stdout, re.M)
    assert status_page
    assert status_page[1] != "8080"
    assert re.search(
        rf"Set up, once +http://127\.0\.0\.1:{status_page[1]}/login/once/\S+$", done.stdout, re.M
    )
    data = re.search(r"its data is in (\S+)\.$", done.stdout, re.M)
    assert data
    assert not Path(data[1]).exists()


def test_it_knows_only_one_option() -> None:
    done = subprocess.run([ROOT / "scripts/demo", "--forever"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "usage: scripts/demo [--exit]\n")
