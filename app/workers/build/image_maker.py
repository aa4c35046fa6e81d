"""Making one build's image: checkout ▶ plan ▶ render ▶ build."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from app.checkout import Checkouts, Credential
from app.commands.builds import build_settings
from app.commands.commit_statuses import note_found_commit
from app.commands.image_ownership import cache_scope, image_tag
from app.commands.image_policy import Resolve, require_reachable_hosts, require_usable_images
from app.commands.remote_access import git_access
from app.domain.build_parts import plan_from_json
from app.domain.builds import Build
from app.domain.egress import Egress
from app.domain.references import Ours
from app.engines.base import RegistryLogin
from app.runtime.disk import Disk
from app.runtime.ports import Clock, Vault
from app.store import builds, jobs
from app.store.database import Database
from app.workers.build.phases import Phases
from app.workers.build.slots import Slots
from app.workers.build.step_recorder import StepRecorder
from app.workers.log_recording import BuildRecording
from builders.backends.base import BuildRequest, BuiltImage, ImageBackend, Login, request_for
from builders.plan import BuildPlan, BuildSettings
from builders.source import SourceTree


class Stopped(Exception):
    """The build is somebody else's by now, or was asked to end."""


@dataclass(frozen=True)
class ImageMaker:
    """Makes the image of one build, with what the builder has for it. `stopping` is set when it is to end."""

    db: Database
    clock: Clock
    checkouts: Checkouts
    backend: ImageBackend
    vault: Vault
    ours: Ours
    addresses_of: Resolve
    egress: Egress
    slots: Slots
    disk: Disk
    confine: Callable[[], object]
    build: Build
    secrets: Mapping[str, str]
    logins: Mapping[str, RegistryLogin]
    writer: BuildRecording
    phases: Phases
    stopping: threading.Event

    def make(self) -> tuple[str, BuiltImage]:
        """Return the commit that was built, and the engine's image of it. Raises Stopped, and what its parts raise."""
        build = self.build
        self.writer.note(f"Fetching {build.sha or build.ref} of {build.url}")
        with self.db.read() as tx:
            credential = git_access(tx, self.vault, build.credential_id, build.url)
        with ExitStack() as until_built:
            with self.phases.phase("checkout"):
                sha = self._fetch(credential)
                if build.sha is None:
                    self._save_commit(sha)
                tree = until_built.enter_context(self._tree(sha, credential))
            with self.phases.phase("plan"):
                plan = self._plan(tree)
                request = self._request(plan, tree, sha)
                self._save(plan, request, sha)
                self._require_allowed(request)
            with self.phases.phase("image"):
                return sha, self._build(request)

    def _fetch(self, credential: Credential | None) -> str:
        build = self.build
        with self.slots.lent(self.stopping.is_set):
            return self.checkouts.fetch(
                build.url, sha=build.sha, ref=build.ref, credential=credential, should_stop=self.stopping
            )

    def _save_commit(self, sha: str) -> None:
        """Of a branch's head: the forge is told at once which commit is being built. Raises Stopped."""
        with self.db.write() as tx:
            kept = builds.save_commit(tx, self.build, sha)
            if kept is None:
                raise Stopped
            note_found_commit(tx, kept, self.clock.now())

    @contextmanager
    def _tree(self, sha: str, credential: Credential | None) -> Iterator[Path]:
        """The files of a commit. Where other servers have to be asked for some, the place is lent meanwhile."""
        config = self.build.config
        tree = self.checkouts.tree(
            self.build.url,
            sha,
            submodules=config.submodules,
            lfs=config.lfs,
            credential=credential,
            should_stop=self.stopping,
        )
        asks = config.submodules or config.lfs
        with ExitStack() as stack:
            with self.slots.lent(self.stopping.is_set) if asks else nullcontext():
                files = stack.enter_context(tree)
            yield files

    def _plan(self, tree: Path) -> BuildPlan:
        from builders.detect import make_plan  # with all languages, when there is first something to build

        return make_plan(SourceTree(tree), self._settings())

    def _settings(self) -> BuildSettings:
        """A missing start command is no fault where every job brings its own, or where it was none before."""
        build = self.build
        if build.rebuild_of is not None:
            return build_settings(build.config, start_required=False)
        with self.db.read() as tx:
            made_for = [job for id_ in builds.sources_of(tx, build.id) for job in jobs.of_source(tx, id_)]
        has_own = [job.spec.run.starts_something for job in made_for]
        return build_settings(build.config, start_required=not (has_own and all(has_own)))

    def _request(self, plan: BuildPlan, tree: Path, sha: str) -> BuildRequest:
        build = self.build
        with self.db.read() as tx:
            tag = image_tag(tx, self.vault, build.project_id, build.id)
            scope = cache_scope(tx, self.vault, build)
        plain = {name: value.value for name, value in build.env.items() if not value.secret}
        return request_for(
            plan,
            tree,
            build_args={**plain, "JOBYARD_GIT_SHA": sha, "JOBYARD_GIT_BRANCH": build.branch},
            secrets={name: value.encode() for name, value in self.secrets.items()},
            logins={host: Login(each.username, each.password) for host, each in self.logins.items()},
            labels=image_labels(build, sha, self.clock.now()),
            tags=(f"{self.ours.repository}:{tag}",),
            scope=scope,
        )

    def _save(self, plan: BuildPlan, request: BuildRequest, sha: str) -> None:
        """Store what is built, and why so, before it begins. Raises Stopped."""
        text = plan.dockerfile_text or request.dockerfile_text
        with self.db.write() as tx:
            kept = builds.save_plan(
                tx, self.build, sha=sha, plan=plan_from_json(plan.to_json()), dockerfile=text
            )
        if kept is None:
            raise Stopped
        for sentence in (*plan.reasons, *plan.warnings):
            self.writer.note(sentence)

    def _require_allowed(self, request: BuildRequest) -> None:
        with self.db.read() as tx:
            require_usable_images(tx, self.ours, self.build.project_id, request)
        require_reachable_hosts(request, self.addresses_of, self.egress)
        self.confine()

    def _build(self, request: BuildRequest) -> BuiltImage:
        timeline = StepRecorder(self.db, self.clock, self.build)
        try:
            return self.backend.build(
                request,
                on_output=self.writer.write,
                on_step=timeline.add,
                should_stop=self.stopping,
                time_limit_seconds=self.build.config.time_limit_seconds,
            )
        finally:
            self.disk.patiently(f"build {self.build.id}", timeline.save)


def image_labels(build: Build, sha: str, now: datetime) -> dict[str, str]:
    prefix = "org.opencontainers.image"
    return {
        f"{prefix}.revision": sha,
        f"{prefix}.source": build.url,
        f"{prefix}.created": now.isoformat(timespec="seconds"),
    }
