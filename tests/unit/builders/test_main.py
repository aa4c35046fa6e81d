import json
from pathlib import Path

import pytest

from builders.__main__ import main


def test_plan_and_dockerfile(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "job.py").write_text("print()")
    assert main(["plan", str(tmp_path)]) == 0
    assert "run              python job.py" in capsys.readouterr().out
    assert main(["plan", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["run_command"] == "python job.py"
    assert main(["dockerfile", str(tmp_path)]) == 0
    assert capsys.readouterr().out.endswith('CMD ["python", "job.py"]\n')


@pytest.mark.parametrize("arguments", [["plan"], ["plan", "--json"], ["dockerfile"]])
def test_what_is_not_recognised_is_a_sentence_and_exit_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert main([*arguments, str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("Nothing here says how to build this")
    assert captured.err.count("\n") == 1


def test_a_path_that_is_no_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(tmp_path / "none")]) == 1
    assert "is not a directory." in capsys.readouterr().err
