"""Who takes part in a rush, and what each asks for next: drawn from the client's own dice, aimed at what there is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import cycle
from random import Random
from typing import Any

from catalog.models import Programme
from enrollment import applying, cap, card_checking, ending, prioritizing, renewing, waiting_list
from enrollment.cap_plan import Plan, Terms
from enrollment.models import CapChange, Enrollment, SeatPool, Share
from libraries.models import Card, Institution, Library, StaffRole, User
from tests.factories import (
    NOW,
    make_application,
    make_institution,
    make_library,
    make_provider,
    make_user,
)

INSTITUTIONS = ("antwerpen", "halle", "kortrijk")


@dataclass(frozen=True)
class Step:
    """One operation that a client asks for; `call` still has to be told the time."""

    operation: str
    ids: dict[str, int]
    call: Callable[..., Any]


Steps = Iterator[Step]


@dataclass(frozen=True)
class Person:
    user_id: int
    library: Library
    number: str


@dataclass(frozen=True)
class World:
    """Of two programmes of one provider the first keeps its shares as they are: there, nothing but the queue's order
    says who is next."""

    cap: int
    people: Sequence[Person]
    pools: Sequence[int]
    librarians: Sequence[User]
    coordinators: Sequence[User]

    @property
    def plain(self) -> int:
        return self.pools[0]


def make_world(*, people: int, cap: int) -> World:
    libraries = [make_library(slug, make_institution(slug)) for slug in INSTITUTIONS]
    coordinators = [_make_staff(f"mo{n}", StaffRole.Role.COORDINATOR) for n in range(3)]
    pools = [
        _open_pool(slug, cap, renewal, libraries, coordinators[0])
        for slug, renewal in (("first", Programme.Renewal.ALWAYS), ("second", Programme.Renewal.IF_NOBODY_WAITS))
    ]
    return World(
        cap=cap,
        people=[_make_person(n, libraries[n % 3]) for n in range(people)],
        pools=pools,
        librarians=[_make_staff(each.name, StaffRole.Role.LIBRARIAN, each.institution) for each in libraries],
        coordinators=coordinators,
    )


def _open_pool(slug: str, size: int, renewal: str, libraries: Sequence[Library], mo: User) -> int:
    """Terms and holds are as short as they may be, so that many end."""
    times = {"opens_on": NOW.date(), "term_months": 1, "hold_days": 7, "renewal": renewal}
    programme = Programme.objects.create(slug=slug, name=slug, provider=make_provider(), **times)
    ids = [library.institution_id for library in libraries]
    return cap.open_pool(programme_id=programme.pk, cap=size, institution_ids=ids, reason="Test", by=mo, now=NOW).pk


def _make_staff(name: str, role: str, institution: Institution | None = None) -> User:
    """Without a password, which takes long to make."""
    user = make_user(f"{name}@example.test", is_staff=True)
    StaffRole.objects.create(user=user, role=role, institution=institution)
    return user


def _make_person(n: int, library: Library) -> Person:
    """Every ninth claims the number of somebody else at the same institution."""
    owner = n - len(INSTITUTIONS) if n % 9 == 8 else n
    return Person(make_user(f"member{n}@example.test").pk, library, f"2100{owner:04}")


# --- Members ---


def member(world: World, dice: Random) -> Steps:
    """Several clients act for the same people, as if in many tabs."""
    while True:
        person = dice.choice(world.people)
        pool = SeatPool.objects.select_related("programme").get(pk=dice.choice(world.pools))
        latest = Enrollment.objects.filter(user_id=person.user_id, pool=pool).order_by("-pk").first()
        if latest is None or latest.state == Enrollment.State.ENDED or dice.random() < 0.2:
            yield application(person, pool)
        if latest is not None and dice.random() < 0.5:
            yield _with_own(dice, latest)


def application(person: Person, pool: SeatPool) -> Step:
    """The pool's programme must be loaded."""
    call = partial(
        applying.apply,
        user=User.objects.get(pk=person.user_id),
        pool=pool,
        application=make_application(person.library, person.number),
        address=f"192.0.2.{person.user_id % 250}",
    )
    return Step("apply", {"user": person.user_id, "pool": pool.pk}, call)


def _with_own(dice: Random, enrollment: Enrollment) -> Step:
    does = dice.choices((ending.give_back, renewing.renew), weights=(2, 1))[0]
    call = partial(does, enrollment_id=enrollment.pk, by=User.objects.get(pk=enrollment.user_id))
    return Step(does.__name__, {"enrollment": enrollment.pk}, call)


# --- Librarians ---


QUEUE: tuple[tuple[str, Callable[..., Any]], ...] = (
    ("give_priority", partial(prioritizing.give, reason=prioritizing.Reason.ANOTHER)),
    ("take_priority", prioritizing.take_back),
    ("end_by_staff", ending.end_by_staff),
)


def librarian(dice: Random, *, by: User, backwards: bool) -> Steps:
    """Goes through a page of the list of cards, from one end or from the other; in between, through the queue."""
    while True:
        yield from decisions(cards_to_check(by, backwards=backwards)[:8], dice, by)
        yield from _with_queue(dice, by)


def cards_to_check(by: User, *, backwards: bool = False) -> list[int]:
    undecided = Card.objects.filter(state__in=[Card.State.CLAIMED, Card.State.DISPUTED])
    its = undecided.filter(institution__staff_roles__user=by).order_by("-pk" if backwards else "pk")
    return list(its.values_list("pk", flat=True))


def decisions(card_ids: Sequence[int], dice: Random, by: User) -> Steps:
    for card_id in card_ids:
        if dice.random() < 0.6:
            yield Step("confirm", {"card": card_id}, partial(card_checking.confirm, card_id=card_id, by=by))
        else:
            reason = dice.choice((Card.Refusal.UNKNOWN, Card.Refusal.EXPIRED))
            call = partial(card_checking.refuse, card_id=card_id, reason=reason, by=by)
            yield Step("refuse", {"card": card_id}, call)


def _with_queue(dice: Random, by: User) -> Steps:
    """With somebody who applied not long ago, so that it is seldom over already."""
    latest = list(Enrollment.objects.filter(share__institution__staff_roles__user=by).order_by("-pk")[:30])
    if not latest:
        yield Step("serve", {}, waiting_list.serve)
        return
    enrollment = dice.choice(latest)
    operation, does = dice.choice(QUEUE)
    call = partial(does, enrollment_id=enrollment.pk, by=by, words="Test")
    yield Step(operation, {"enrollment": enrollment.pk}, call)


# --- Coordinators ---


def coordinator(world: World, dice: Random, *, by: User) -> Steps:
    call: partial[Any]
    while True:
        pool_id = dice.choice(world.pools)
        told: dict[str, Any] = {"pool_id": pool_id, "plan": _plan(world, dice, pool_id), "by": by}
        if dice.random() < 0.75:
            operation, call = "change", partial(_change, looks=dice.random() < 0.3, **told)
        else:
            operation, call = "schedule", partial(_schedule, days=dice.randint(1, 20), **told)
        yield Step(operation, {"pool": pool_id}, call)
        yield from _withdrawals(dice, by)


def _plan(world: World, dice: Random, pool_id: int) -> Plan:
    number = dice.randint(world.cap // 4, 2 * world.cap)
    if pool_id == world.plain or dice.random() < 0.5:
        return Plan(cap=number)
    shares = list(Share.objects.filter(pool_id=pool_id).order_by("pk").values_list("pk", flat=True))
    return Plan(cap=number, shares={dice.choice(shares): _terms(dice, world.cap)})


def _terms(dice: Random, cap: int) -> Terms:
    day = NOW.date() + timedelta(days=dice.randint(0, 60))
    return Terms(
        floor=dice.choice((0, 0, 2, cap // 6)),
        ceiling=dice.choice((None, None, cap // 3 + 2, cap)),
        lends_from=dice.choice((None, None, day)),
    )


def _change(*, pool_id: int, plan: Plan, by: User, looks: bool, now: datetime) -> Any:
    """`looks` at what it would do first, as in the workplace; meanwhile somebody else has often been quicker."""
    told: dict[str, Any] = {"pool_id": pool_id, "plan": plan, "by": by, "now": now}
    return cap.change(**told, reason="Test", expected=cap.preview(**told).fingerprint if looks else None)


def _schedule(*, pool_id: int, plan: Plan, by: User, days: int, now: datetime) -> Any:
    at = now + timedelta(days=days)
    return cap.schedule(pool_id=pool_id, plan=plan, reason="Test", at=at, by=by, now=now)


def _withdrawals(dice: Random, by: User) -> Steps:
    planned = CapChange.objects.planned().order_by("pk").values_list("pk", "pool_id")
    if dice.random() < 0.2 and (rows := list(planned)):
        change_id, pool_id = dice.choice(rows)
        call = partial(cap.withdraw, change_id=change_id, by=by)
        yield Step("withdraw", {"change": change_id, "pool": pool_id}, call)


# --- The portal itself ---

SWEEPS = (waiting_list.lapse_holds, cap.apply_due, ending.end_terms, waiting_list.serve)


def sweeper() -> Steps:
    yield from (Step(sweep.__name__, {}, sweep) for sweep in cycle(SWEEPS))


def client(world: World, number: int, dice: Random) -> Steps:
    """Of every sixteen clients eleven are members, three librarians, one a coordinator and one a sweep."""
    part, turn = number % 16, number // 16
    if part < 11:
        return member(world, dice)
    if part < 14:
        lin = world.librarians[(part + turn) % len(world.librarians)]
        return librarian(dice, by=lin, backwards=turn % 2 == 1)
    if part == 14:
        return coordinator(world, dice, by=world.coordinators[turn % len(world.coordinators)])
    return sweeper()
