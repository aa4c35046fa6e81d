"""One history, told by its seed: what users do, what goes wrong, and what of the servers goes on when."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from random import Random

from app.commands.runs import cancel_run, start_run
from app.domain.errors import JobyardError
from app.domain.job.effective import NOTHING
from app.domain.runs import Trigger, TriggerType
from app.engines.fake import Fault
from app.store import jobs, runs
from app.store.claims import heartbeat
from tests.support.fakes import commit
from tests.support.mortal import Fuse, Killed
from tests.support.simulation.hub import SimClock, Task
from tests.support.simulation.outward import SENDS
from tests.support.simulation.place import LOOPS, REGISTERS, Place, SimServer
from tests.support.simulation.shapes import SHAPES
from tests.support.simulation.world import SimWorld

FAULTY = ("start", "logs", "wait", "remove", "owned", "stop", "resolve")
AT_ONCE = {"runner": 3, "builder": 2}  # workers; there is one of each other loop
STANDS_STILL = 0.1  # how likely it is at a contact with the world
LONGEST = 24 * 3600  # seconds within which everything comes to its end
FURTHEST = 7200  # seconds by which a clock is set
QUIET = 660  # seconds after which no server can have a start in its hands any more


class SimFuse(Fuse):
    """At any contact with the world outside of a transaction, others may go on first."""

    def __init__(self, world: SimWorld) -> None:
        super().__init__()
        self._world = world

    def burn(self, point: str) -> None:
        super().burn(point)
        if self._world.faults_go_on and self._world.chance.random() < STANDS_STILL:
            self._world.hub.stand_still()


class History:
    def __init__(self, seed: int) -> None:
        self.chance = chance = Random(seed)
        self.clock = SimClock()
        self.world = SimWorld(self.clock, chance)
        self.hub, self.facts = self.world.hub, self.world.facts
        self.place = Place(self.world, chance.choice(SHAPES), is_alone=chance.random() < 0.5)
        self.places = [self.place]
        self._names = 0
        self._commits = 0
        self._start_servers()

    # -- the course of it --

    def run(self) -> None:
        self._user_acts()
        for _ in range(self.chance.randrange(2, 20)):
            self._choose()()
        self._settle()

    def _choose(self) -> Callable[[], object]:
        number = self.chance.random()
        if number < 0.6:
            return self._work
        if number < 0.75:
            return lambda: self.pass_time(self.chance.choice((1, 5, 15, 15, 60, 150)))
        return self._user_acts if number < 0.82 else self._something_goes_wrong

    def _settle(self) -> None:
        """Nothing goes wrong any more: everything comes to its end by itself."""
        world = self.world
        world.faults_go_on = world.is_full = False
        world.faults.clear()
        self.place.engine.unavailable(False)
        if world.hangs:
            self.place.engine.restart(keeps_running=True)
        for server in self._servers():
            server.stalled_until = 0.0
        world.arrive()
        self._start_servers()
        left, step = LONGEST, 5
        while True:
            while self._go_on("scheduler"):
                pass
            alive = [place for place in self.places if not place.is_dead]
            if not any(place.is_open or place.is_telling for place in alive) and not self._awaited():
                break
            assert left > 0, "it never ends"
            self.pass_time(step, in_full=True)
            left, step = left - step, min(step * 2, 600)
        self.pass_time(QUIET + FURTHEST * self.facts.set_back, in_full=True)
        while self._go_on("scheduler"):
            pass

    def _awaited(self) -> bool:
        """Whether anything goes on but mail, which nothing waits for."""
        return any(task.kind != SENDS for task in self.hub.tasks)

    # -- servers --

    def _servers(self) -> list[SimServer]:
        return [server for place in self.places for server in place.servers]

    def _start_servers(self) -> None:
        for place in self.places:
            while not place.is_dead and len(place.servers) < (1 if place.is_alone else 2):
                self._names += 1
                server = place.start_server(f"server-{self._names}", SimFuse(self.world))
                if self.world.faults_go_on and self.chance.random() < 0.4:
                    server.fuse.blows_at = self.chance.randrange(1, 60)

    def _work(self) -> None:
        for _ in range(self.chance.randrange(1, 12)):
            if not self._go_on():
                return

    def _go_on(self, *but: str) -> bool:
        """One of all that might go on does so, to where it waits; False if nothing might."""
        now = self.clock.steady()
        servers = {server.fuse: server for server in self._servers() if server.stalled_until <= now}
        ready = [task for task in self.hub.tasks if task.fuse in servers and task.ready()]
        due = [(each, loop) for each in servers.values() for loop in LOOPS if self._may_step(each, loop, but)]
        if not ready and not due:
            return False
        number = self.chance.randrange(len(ready) + len(due))
        if number < len(ready):
            task = ready[number]
        else:
            server, loop = due[number - len(ready)]
            task = self.hub.spawn(server.fuse, loop, lambda: server.step(loop))
        self._let(servers[task.fuse], task)
        return True

    def _may_step(self, server: SimServer, loop: str, but: tuple[str, ...]) -> bool:
        if loop not in server.due or loop in but:
            return False
        if any(each.fuse is server.fuse and each.kind == REGISTERS for each in self.hub.tasks):
            return False
        if not server.may_find(loop):
            server.due.discard(loop)
            return False
        at_work = sum(each.fuse is server.fuse and each.kind == loop for each in self.hub.tasks)
        return at_work < AT_ONCE.get(loop, 1)

    def _let(self, server: SimServer, task: Task) -> None:
        self.hub.go_on(task)
        if server.fuse.is_blown:
            self.facts.kills += 1
            self._bury(server)

    def _bury(self, server: SimServer) -> None:
        self.hub.kill(server.fuse)
        server.place.servers.remove(server)
        if self.world.faults_go_on and self.chance.random() < 0.5:
            return  # nobody starts one for a while
        self._start_servers()

    def _kill(self, server: SimServer) -> None:
        server.fuse.blows_at = 0
        self._bury(server)

    # -- time --

    def pass_time(self, seconds: float, *, in_full: bool = False) -> None:
        """`in_full`, all servers look at everything afterwards."""
        self.clock.advance(seconds)
        self.place.engine.pass_time()
        if self.chance.random() < 0.3:
            self._late_starts_arrive()
        now = self.clock.steady()
        for place in self.places:
            self._hearts_beat(place, [each.name for each in place.servers if each.stalled_until <= now])
            often = () if in_full or self.chance.random() < 0.3 else ("reconciler", "sweeper")
            place.ring(*often)

    def _hearts_beat(self, place: Place, servers: list[str]) -> None:
        """As every ten seconds."""
        if place.is_alone or self.world.is_full:
            return
        with place.db.write() as tx:
            for name in servers:
                heartbeat(tx, name, self.clock.of_database())

    # -- what users do --

    def _user_acts(self) -> None:
        place = self.chance.choice(self.places)
        if self.world.is_full or not place.servers:
            return  # nobody would take it
        acts = [self._push] * 2 * place.has("source_id") + [self._ask_for_run] * 2 * place.has("has_image")
        if place.is_open:
            acts.append(self._cancel)
        with suppress(JobyardError):
            self.chance.choice(acts)(place)
        place.ring("reconciler", "sweeper")

    def _push(self, place: Place) -> None:
        if place.pushed and self.chance.random() < 0.2:
            guid = self.chance.choice(place.pushed)  # the forge sends it again
            number = int(guid.removeprefix("push-"))
        else:
            number = self._commits = self._commits + 1
            guid = f"push-{number}"
        place.push(commit(number - 1), commit(number), guid=guid)
        if guid not in place.pushed:
            place.pushed.append(guid)

    def _ask_for_run(self, place: Place) -> None:
        trigger = Trigger(TriggerType.MANUAL, by="ada")
        with place.db.write() as tx:
            job = self.chance.choice(jobs.page(tx))
            place.asked.append(start_run(tx, place.names, job, NOTHING, trigger, self.clock.now()))

    def _cancel(self, place: Place) -> None:
        with place.db.write() as tx:
            found = runs.page(tx, limit=20, statuses=runs.OPEN)
            if found:
                run = self.chance.choice(found)
                cancel_run(tx, run, "ada", self.clock.now())
                place.cancelled.add(run.id)
                self.facts.cancels += 1

    # -- what goes wrong --

    def _something_goes_wrong(self) -> None:
        self.chance.choice(
            (
                self._end_a_server,
                self._end_a_server,
                self._stall_a_server,
                self._fail_calls,
                self._hang_or_go_away,
                self._restart_engine,
                self._fill_or_empty_disk,
                self._set_clock,
                self._restore,
            )
        )()

    def _end_a_server(self) -> None:
        """Or start those that are missing."""
        running = self._servers()
        if not running or self.chance.random() < 0.2:
            self._start_servers()
            return
        server = self.chance.choice(running)
        if self.world.is_full or self.chance.random() < 0.7:
            self.facts.kills += 1
        else:
            self.facts.stops += 1
            with suppress(Killed):  # in the middle of it
                server.let_go()
        self._kill(server)

    def _stall_a_server(self) -> None:
        running = self._servers()
        if running:
            self.facts.stalls += 1
            seconds = self.chance.choice((5, 40, 100))
            self.chance.choice(running).stalled_until = self.clock.steady() + seconds

    def _fail_calls(self) -> None:
        self.facts.engine_faults += 1
        fault = self.chance.choice(list(Fault))
        self.place.engine.fail(self.chance.choice(FAULTY), fault, self.chance.randrange(1, 4))

    def _hang_or_go_away(self) -> None:
        self.facts.engine_faults += 1
        if self.world.hangs:
            self.place.engine.restart(keeps_running=self.chance.random() < 0.5)
        elif self.world.down:
            self.place.engine.unavailable(False)
        elif self.chance.random() < 0.5:
            self.world.hangs = True
        else:
            self.place.engine.unavailable(True)

    def _restart_engine(self) -> None:
        self.place.engine.restart(keeps_running=self.chance.random() < 0.5)

    def _late_starts_arrive(self) -> None:
        if not (self.world.hangs or self.world.down):
            self.world.arrive()

    def _fill_or_empty_disk(self) -> None:
        self.world.is_full = not self.world.is_full
        self.facts.full += 1

    def _set_clock(self) -> None:
        seconds = self.chance.randrange(1, FURTHEST)
        for server in self._servers():
            server.clock_was_set = True
        if self.chance.random() < 0.5:
            self.facts.set_back += 1
            self.clock.set_by(-seconds)
        else:
            self.facts.set_forward += 1
            self.clock.set_by(seconds)

    def _restore(self) -> None:
        if self.facts.restores or self.world.is_full:
            return
        self.facts.restores += 1
        self.places.append(self.place.restored_beside())
        if self.chance.random() < 0.5:
            self.place.is_dead = True
            for server in [*self.place.servers]:
                self._kill(server)
        self._start_servers()
