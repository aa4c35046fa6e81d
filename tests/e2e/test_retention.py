"""A real server and engine: what is beyond the limits goes, and an image that went is built again when it is wanted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.git_server import GitServer
from tests.support.hosted import HostedJob
from tests.support.server import docker_client, jobyard_server

DOCKERFILE = 'FROM busybox:latest\nCOPY greeting /greeting\nCMD ["cat", "/greeting"]\n'
BUILDS, KEPT, IMAGES = 13, 11, 10  # of a source


def test_old_runs_and_images_go_and_an_image_comes_back(
    tmp_path: Path, forge: GitServer, repositories: Path
) -> None:
    root = repositories / "kept"
    root.mkdir()
    with jobyard_server(tmp_path / "data", retention_runs=str(KEPT)) as server, docker_client() as client:
        job = HostedJob(server, forge, root, "report-kept")
        job.job(run_on_image_change="always")
        for number in range(BUILDS):
            job.ran(job.push({"Dockerfile": DOCKERFILE, "greeting": f"greeting {number}\n"}))
        (first, *_), (last, *_) = job.builds()[::-1], job.builds()
        own = f"jobyard-{server.installation}"

        def tags() -> set[str]:
            return {tag for image in client.images(own) for tag in image["RepoTags"] or ()}

        assert len(tags()) == BUILDS
        shown: Any = server.api("POST", "/prune?dry_run=1")
        assert {each["kind"]: each["going"] for each in shown["kinds"]}["runs"] == BUILDS - KEPT
        assert shown["images"]["going"] == BUILDS - IMAGES
        server.api("POST", "/prune")
        server.wait_for("the old runs are gone", lambda: len(job.runs()) == KEPT)
        server.wait_for("the old images are gone", lambda: len(tags()) == IMAGES)
        server.wait_for("their logs are gone", lambda: len(logs(tmp_path / "data", "runs")) == KEPT)
        assert not [tag for tag in tags() if f":build-{first['id']}-" in tag]
        assert [tag for tag in tags() if f":build-{last['id']}-" in tag]

        (kept, *_) = [build for build in job.builds() if build["id"] not in built(tags())]
        run = job.start(build=kept["id"])
        done = server.wait_for(
            "the image was built again", lambda: ended(server.api("GET", f"/runs/{run['id']}"))
        )
        assert done["status"] == "succeeded"
        assert server.log_of(done).startswith("greeting ")
        assert client.images("busybox"), "nobody else's image is touched"


def logs(data: Path, kind: str) -> list[Path]:
    return [each for each in (data / "logs" / kind).glob("*/*") if each.is_dir()]


def built(tags: set[str]) -> set[int]:
    return {int(tag.partition(":build-")[2].partition("-")[0]) for tag in tags}


def ended(run: Any) -> Any:
    return run if run["status"] in ("succeeded", "failed", "cancelled") else None
