"""One seeded run: a few people, wishes, workers, faults and kills, all placed by the seed; then peace, and a check.

Nothing runs at the same time: one worker at a time takes a few steps, until it has done its work, is killed, or stalls;
then it is the next one's turn, a wish comes, or time passes. So a seed repeats its run.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

from enrollment import provisioning
from portal.celery import app
from tests.factories import NOW
from tests.faults import proxy as proxies
from tests.faults.seeded_checker import Finding, Kind, at_rest, over_limit, told, told_early
from tests.faults.seeded_clock import Clock
from tests.faults.seeded_workers import Fate, State, Worker
from tests.faults.seeded_world import Member, Stage, World, make_world
from tests.platform_server import TOKEN

TURNS = (6, 11)
PEOPLE = (1, 2, 2, 3)
CALLS_PER_SECOND, CALLS_AT_ONCE = (1, 2, 5, 50), (1, 2, 3)
FAULT_RATE = 0.3
DEATHS, STALLS = 2, 3
# By the kind of step: how often a worker dies there, or stalls.
ON_THE_WIRE, AT_THE_DATABASE = (0.06, 0.08), (0.006, 0.012)
SWEEP = timedelta(seconds=app.conf.beat_schedule["provision-due"]["schedule"])
# So long a provider that is left alone is waited for, in the end.
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=20), timedelta(minutes=20)


def secret_of(name: str) -> str:
    return TOKEN


@dataclass
class Run:
    stage: Stage
    seed: int
    people: int | None = None  # as the seed says
    stalls: int = STALLS
    calm: bool = False
    history: list[str] = field(default_factory=list)
    found: list[Finding] = field(default_factory=list)
    covered: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.dice = Random(self.seed)
        people, at_once = self.people or self.dice.choice(PEOPLE), self.dice.choice(CALLS_AT_ONCE)
        self.per_second = self.dice.choice(CALLS_PER_SECOND)
        self.world: World = make_world(self.stage, people, per_second=self.per_second, at_once=at_once)
        self.deaths, self.told = DEATHS, 0
        self.came_late = False
        # Accounts whose creation may reach the provider whenever it likes, whatever has become of the person since.
        self.late_creations: set[str] = set()
        # Calls whose worker slept in its turn, where no limiter can wake it.
        self.belated: set[int] = set()
        self._passed = 0

    @property
    def clock(self) -> Clock:
        return self.stage.clock

    @property
    def now(self) -> datetime:
        return self.clock.now

    # --- The whole ---

    def live(self) -> list[Finding]:
        random.seed(self.seed)  # the waits between tries are drawn from it
        proxy = self.stage.proxy
        proxy.history.clear()
        proxy.late.clear()
        proxy.clock = self.clock
        proxy.plan = proxies.seeded(self.seed, rate=FAULT_RATE)
        for member in self.world.members:
            self._wish(member, self.world.give_seat)
        for _ in range(self.dice.randint(*TURNS)):
            self._turn()
        self._calm_down()
        self._check()
        return self.found

    def _turn(self) -> None:
        idle = [worker for worker in self.stage.staff if worker.state is State.IDLE]
        stalled = [worker for worker in self.stage.staff if worker.state is State.STALLED]
        choices: list[tuple[float, Callable[[], object]]] = [
            (3, self._some_wish),
            (1, self._some_time),
            (1, self._sweep),
        ]
        if idle and self._anything_due():
            choices.append((6, lambda: self._begin(self.dice.choice(idle))))
        if stalled:
            choices.append((2, lambda: self._go_on(self.dice.choice(stalled))))
        if stalled or self.deaths < DEATHS:
            choices.append((2, self._lease_passes))
        if self.stage.proxy.late:
            choices.append((1, self._deliver_late))
        weights = [weight for weight, _ in choices]
        [(_, chosen)] = self.dice.choices(choices, weights)
        chosen()

    def _calm_down(self) -> None:
        """No more faults. Those who stalled go on, before or after others have done their work."""
        self.calm = True
        proxy = self.stage.proxy
        proxy.plan = proxies.no_faults
        proxy.come_back()
        stalled = [worker for worker in self.stage.staff if worker.state is State.STALLED]
        self.dice.shuffle(stalled)
        for worker in stalled:
            if self.dice.random() < 0.5 and any(each.state is State.IDLE for each in self.stage.staff):
                self._settle()
            self._go_on(worker)
        self._deliver_late()
        if self.late_creations or self.came_late:
            self.world.compare(now=self.now)
        self._settle()
        while self._sweep():
            self._settle()

    def _settle(self) -> None:
        """Time passes, and what is due is done, until nothing is owed that people need not look at."""
        worker = next(each for each in self.stage.staff if each.state is State.IDLE)
        wait = FIRST_WAIT
        while (moment := self.world.next_moment()) is not None and wait < LONGEST_WAIT:
            self._pass(max(moment - self.now, timedelta()))
            self._begin(worker)
            if worker.worked:
                wait = FIRST_WAIT
            else:  # the provider is not to be called yet
                self._pass(wait)
                wait *= 2

    def _anything_due(self) -> bool:
        moment = self.world.next_moment()
        return moment is not None and moment <= self.now

    # --- What may happen ---

    def _some_wish(self) -> None:
        member = self.dice.choice(self.world.members)
        if member.is_erased:
            return
        if not member.has_seat:
            erases = self.dice.random() < 0.25
            self._wish(member, self.world.erase if erases else self.world.give_seat)
        elif self.dice.random() < 0.5:
            self._wish(member, self.world.end_seat)
        else:
            self._wish(member, lambda each, *, now: self.world.change(each, self.dice, now=now))

    def _wish(self, member: Member, wish: Callable[..., None]) -> None:
        wish(member, now=self.now)
        self._tell(f"{member.name}: seat {member.has_seat}, erased {member.is_erased}, now {member.data}")

    def _begin(self, worker: Worker) -> None:
        worker.begin(lambda: provisioning.settle_next(secret_of=secret_of, now=self.clock), self._fate)
        self._look_at(worker, "works")

    def _go_on(self, worker: Worker) -> None:
        dies = not self.calm and self.dice.random() < 0.25
        if worker.stalled_at.startswith("before") and not dies:
            self.belated.add(self.stage.proxy.next_number)
        worker.go_on(killed=dies)
        self._look_at(worker, "goes on")

    def _some_time(self) -> None:
        self._pass(timedelta(seconds=self.dice.choice([0.5, 2, 5, 15])))

    def _lease_passes(self) -> None:
        self._pass(provisioning.LEASE + timedelta(seconds=1))

    def _sweep(self) -> int:
        number = self.world.sweep(now=self.now)
        self._tell(f"a sweep finds {number} to be told of changes")
        return number

    def _pass(self, time: timedelta) -> None:
        self.clock.move(time.total_seconds())
        if time:
            self._tell(f"{time.total_seconds():.1f} s pass")

    def _deliver_late(self) -> None:
        proxy = self.stage.proxy
        self.late_creations |= {_account_in(held.body) for held in proxy.late if held.first[0] == "POST"}
        if number := proxy.deliver_late():
            self.came_late = True
            self._tell(f"{number} requests arrive late")

    def _fate(self, step: str, may_stall: bool) -> Fate:
        if self.calm:
            return Fate.GOES_ON
        dies, stalls = ON_THE_WIRE if step.startswith(("before", "after")) else AT_THE_DATABASE
        drawn = self.dice.random()
        if drawn < dies and self.deaths:
            self.deaths -= 1
            self.covered[f"dies {step}"] += 1
            self._tell(f"… dies: {step}")
            return Fate.DIES
        if dies <= drawn < dies + stalls and may_stall and self.stalls:
            self.stalls -= 1
            self.covered[f"stalls {step}"] += 1
            return Fate.STALLS
        return Fate.GOES_ON

    # --- What is seen ---

    def _look_at(self, worker: Worker, what: str) -> None:
        for passage in self.stage.proxy.history[self._passed :]:
            told = f"{passage.status}" if passage.forwarded else "not forwarded"
            self._tell(f"… {passage.method} {passage.path} #{passage.number}: {told}, {passage.fault or 'no fault'}")
            if passage.fault:
                self.covered[passage.fault] += 1
        self._passed = len(self.stage.proxy.history)
        if worker.state is State.STALLED:
            what += f", stalls: {worker.stalled_at}"
            if worker.stalled_at == "before POST" and worker.request is not None:
                self.late_creations.add(_account_in(worker.request.body))
        if worker.killed:
            what += ", is killed"
        if worker.worked or worker.state is State.STALLED or worker.killed:
            self._tell(f"{worker.name} {what}")
        if worker.broke is not None:
            self.found.append(Finding(Kind.BROKE, f"{worker.name}: {worker.broke!r}"))
            worker.broke = None
        if worker.worked or worker.killed:
            self._look_at_letters()
        if worker.killed:
            self._look_at_leases()

    def _look_at_leases(self) -> None:
        """What a dead worker held is free in time for the next sweep within a minute."""
        last = self.world.last_lease()
        if last is not None and last + SWEEP > self.now + timedelta(minutes=1):
            self.found.append(Finding(Kind.STUCK, f"a lease of the dead lasts until {last - NOW}"))

    def _look_at_letters(self) -> None:
        letters = self.world.letters()
        if len(letters) == self.told:
            return
        accounts = {person.name: person.external_id for person in self.world.ours()}
        theirs = self.world.theirs()
        for member in self.world.members:
            if member.seats and member.seats[-1].pk in letters[self.told :]:
                self._tell(f"{member.name} is told")
                own = [each for each in theirs if each.external_id == accounts[member.name]]
                self.found += told_early(member.name, own)
        self.told = len(letters)

    def _check(self) -> None:
        ours = self.world.ours()
        excused = {each.name: "two_matches" for each in ours if each.external_id in self.late_creations}
        self.found += at_rest(ours, self.world.theirs(), excused)
        ready = {
            f"{each.name}#{len(member.seats) - 1}": each.seen == "active" and not each.owed
            for each, member in zip(ours, self.world.members, strict=True)
        }
        self.found += told(self.world.seats(), ready)
        in_time = [each for each in self.stage.proxy.history if each.number not in self.belated]
        moments = [(passage.at - NOW).total_seconds() for passage in in_time]
        self.found += over_limit(moments, per_second=self.per_second)

    def _tell(self, what: str) -> None:
        self.history.append(f"{(self.now - NOW).total_seconds():9.2f}  {what}")


def _account_in(body: bytes | str | None) -> str:
    """Our id in what is sent to create an account."""
    return str(json.loads(body or "")["externalId"])
