"""What a container of a run is started with: image, command, variables, size, labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.commands.variables import open_variable
from app.domain.errors import UserError
from app.domain.job.checks import CommandCheck
from app.domain.job.effective import Invocation, invocation
from app.domain.job.spec import Hardening
from app.domain.job.variables import EnvValue
from app.domain.plans import Plan
from app.domain.runs import Attempt, Container, Run
from app.engines.base import Capability, ContainerSpec
from app.runtime.ports import Vault
from app.workers.run.images import Origin

RUN_LABEL = "jobyard.run"  # its name, which no other run of any database has


@dataclass(frozen=True)
class Specs:
    vault: Vault
    plans: Mapping[str, Plan]
    disk_bytes: int  # of each container's own files; 0: any number
    lacks: Mapping[Capability, str]  # of the engine

    def secrets(self, run: Run) -> list[str]:
        """The values of the secrets that are kept here. Raises a JobyardError for one that can't be opened."""
        kept = {name: value for name, value in run.spec.env.items() if value.secret and not value.reference}
        return [self._open(run, name, value) for name, value in kept.items()]

    def _open(self, run: Run, name: str, value: EnvValue) -> str:
        return open_variable(name, value, self.vault, run.project_id, run.job_id)

    def invocation(self, run: Run, origin: Origin) -> tuple[Invocation, Plan]:
        """Return how the container is called and how big it is. Raises UserError where that can't be."""
        call = invocation(run.spec, origin.processes)
        self._require_checkable(run)
        name = run.spec.plan
        if name not in self.plans:
            raise UserError(f"There is no plan named {name} any more; there are: {', '.join(self.plans)}.")
        return call, self.plans[name]

    def _require_checkable(self, run: Run) -> None:
        for check in run.spec.health_checks:
            needs = Capability.PROBE if isinstance(check, CommandCheck) else Capability.ADDRESS
            if needs in self.lacks:
                raise UserError(f"The health check of {check.words} can't be asked. {self.lacks[needs]}")

    def spec(
        self,
        run: Run,
        attempt: Attempt,
        container: Container,
        external: Mapping[str, str],
        origin: Origin,
        at_least: Hardening,
        *,
        may_overlap: bool,
    ) -> ContainerSpec:
        """What a container is started with: among it the `external` values of variables that have a reference. Its
        project's hardening counts `at_least`.
        """
        call, plan = self.invocation(run, origin)
        assert run.image is not None
        own = {
            name: self._open(run, name, value) if value.reference is None else external[name]
            for name, value in run.spec.env.items()
            if value.in_run
        }
        return ContainerSpec(
            image=run.image,
            command=call.command,
            entrypoint=call.entrypoint,
            env={**own, **run_variables(run, attempt, container, origin.branch)},
            cpus=plan.cpus,
            memory_bytes=plan.memory_bytes,
            disk_bytes=self.disk_bytes,
            hardening=run.spec.hardening.with_at_least(at_least),
            labels=labels_of(run, attempt),
            stop_grace_seconds=run.spec.grace_period_seconds,
            time_limit_seconds=run.spec.time_limit_seconds,
            node_labels=plan.node_labels,
            may_overlap=may_overlap,
        )


def labels_of(run: Run, attempt: Attempt) -> dict[str, str]:
    """Return the labels of each container of an attempt."""
    return {
        RUN_LABEL: run.name,
        "jobyard.job": run.job,
        "jobyard.project": run.project,
        "jobyard.attempt": str(attempt.number),
    }


def run_variables(run: Run, attempt: Attempt, container: Container, branch: str) -> dict[str, str]:
    """Return the variables that tell every container of a run which one it is."""
    facts = {
        "JOBYARD_PROJECT": run.project,
        "JOBYARD_JOB": run.job,
        "JOBYARD_RUN": run.name,
        "JOBYARD_ATTEMPT": str(attempt.number),
        "JOBYARD_INSTANCE_INDEX": str(container.instance),
        "JOBYARD_INSTANCES": str(run.spec.instances),
        "JOBYARD_GIT_SHA": run.sha or "",
        "JOBYARD_GIT_BRANCH": branch,
        "JOBYARD_SCHEDULED_FOR": run.trigger.scheduled_for.isoformat() if run.trigger.scheduled_for else "",
    }
    return {name: value for name, value in facts.items() if value}
