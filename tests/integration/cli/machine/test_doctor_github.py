"""What `jobyard doctor` says of GitHub Apps, asked of a double of GitHub over HTTP."""

from __future__ import annotations

from pathlib import Path

from app.cli.doctor_github import check_github_apps
from app.commands.github_apps import AppDraft, define_app
from app.config import Settings
from app.installation import open_installation
from app.store import projects
from app.system import SystemClock
from tests.support import github
from tests.support.clock import Clock
from tests.support.github import APP_ID, PEM, WEBHOOK_SECRET, GitHub


def test_an_app_is_found_well_or_what_is_to_be_done_is_said(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, git_allow="http", egress="internet,private,host")
    assert list(check_github_apps(settings)) == []  # nothing is there yet
    double = GitHub(Clock(at=None))
    with github.served(double) as url:
        with open_installation(settings) as own, own.db.write() as tx:
            project = projects.create(tx, "acme", None, SystemClock().now())
            draft = AppDraft("octo", "github.com", APP_ID, PEM, WEBHOOK_SECRET, api_url=url)
            define_app(tx, own.box, project, draft, SystemClock().now())

        def found() -> tuple[str, str]:
            [finding] = check_github_apps(settings)
            return finding.state, finding.sentence.removeprefix("Project acme: ")

        name = "GitHub App octo"
        assert found() == ("ok", f"{name} reaches 1 repositories and lacks nothing.")
        double.calls = []
        never = f"GitHub has not called the webhook of {name} yet: push, or look whether it is active there."
        assert found() == ("warn", never)
        double.calls = [{"event": "push", "status_code": 401}]
        look = "look at its address and its secret."
        last = f"GitHub's last call of the webhook of {name} (push) was answered with status 401: {look}"
        assert found() == ("warn", last)
        double.calls = [{"event": "push", "status_code": 0}]
        assert found()[1] == f"GitHub's last call of the webhook of {name} (push) was not answered: {look}"
        double.is_deleted = True
        gone = f"GitHub has no App {APP_ID} (404): it was deleted, or the App id of octo is another's."
        assert found() == ("fail", f"{gone} Make it again.")
