"""The secrets of a run that are kept elsewhere: read anew for each attempt, and never stored.

Of an attempt that was taken over, its containers know what they were made with: what is masked in their logs is that,
whatever the source has by now, and whether it answers or not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from app.domain.errors import EngineUnavailable
from app.domain.external_secrets import ExternalSecret, SecretRefused, SecretUnavailable
from app.domain.job.variables import references_in
from app.domain.outages import asked_again
from app.domain.redaction import is_masked
from app.domain.runs import Container, Run
from app.engines.base import Engine
from app.runtime.ports import SecretSource
from app.workers.run.active import ActiveRun
from app.workers.run.patience import Patience
from app.workers.run.starter import ClaimLost

Values = Mapping[str, str]


@dataclass(frozen=True)
class ExternalValues:
    """The values by the variables that have them: `anew` as they were read for what is to start, or why they could
    not be; `of_instance` as containers have them that are there already.
    """

    anew: Values | SecretRefused | SecretUnavailable = field(default_factory=dict, repr=False)
    of_instance: Mapping[int, Values] = field(default_factory=dict, repr=False)

    def of(self, container: Container) -> Values:
        """What the container is or was started with. Raises SecretRefused, SecretUnavailable."""
        known = self.of_instance.get(container.instance, self.anew)
        if isinstance(known, SecretRefused | SecretUnavailable):
            raise known
        return known

    def hidden(self) -> Iterator[str]:
        """All that may come up in the log."""
        for values in (*self.of_instance.values(), self.anew):
            if isinstance(values, Mapping):
                yield from values.values()

    def warnings(self) -> Iterator[str]:
        """A sentence for each new value that the log can't be kept free of."""
        for name, value in self.anew.items() if isinstance(self.anew, Mapping) else ():
            if not is_masked(value):
                yield f"What was read for {name} is too short to be masked in this log."


def wanted_by(run: Run) -> dict[str, ExternalSecret]:
    return references_in({name: value for name, value in run.spec.env.items() if value.in_run})


@dataclass(frozen=True)
class TakenOver:
    """Finds the values of an attempt that another server, or this one before a restart, began.

    An engine or source that gives no answer is asked again every `asked_every` seconds, as long as there is patience;
    `say` stores a sentence about it with the run, and tells whether that is ours still.
    """

    engine: Engine
    source: SecretSource
    new_patience: Callable[[], Patience]
    asked_every: float
    say: Callable[[Run, str], bool]

    def find(
        self, active: ActiveRun, run: Run, containers: Sequence[Container], labels: Mapping[str, str]
    ) -> ExternalValues:
        """Raises ClaimLost, or EngineUnavailable: without knowing them nothing may be written to the log."""
        wanted = wanted_by(run)
        if not wanted:
            return ExternalValues()
        found = {each.instance: self._environment(active, each.key, labels) for each in containers}
        known = {
            instance: {name: env[name] for name in wanted if name in env}
            for instance, env in found.items()
            if env is not None
        }
        is_one_missing = any(each.finished_at is None and each.instance not in known for each in containers)
        return ExternalValues(self._read(active, wanted, run) if is_one_missing else {}, known)

    def _read(
        self, active: ActiveRun, wanted: Mapping[str, ExternalSecret], run: Run
    ) -> Values | SecretRefused | SecretUnavailable:
        """What is yet to start needs new ones. As its attempt has begun, it is waited for here."""
        patience, said = self.new_patience(), ""
        while True:
            patience.ask()
            try:
                return self.source.read(wanted, run.project)
            except SecretRefused as error:
                return error
            except SecretUnavailable as error:
                if active.stop_is_requested or patience.is_over(is_to_end=False):
                    return error
                sentence = asked_again(str(error), patience.left)
            if not self.say(run, "" if sentence == said else sentence):
                raise ClaimLost
            said = sentence
            active.pause(self.asked_every)

    def _environment(self, active: ActiveRun, key: str, labels: Mapping[str, str]) -> Values | None:
        patience = self.new_patience()
        while True:
            patience.ask()
            try:
                return self.engine.environment(key, labels)
            except EngineUnavailable:
                if patience.is_over(is_to_end=active.stop_is_requested):
                    raise
                patience.pause(self.asked_every)
