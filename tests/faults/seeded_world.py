"""The few people of a seeded run, what must be so of their accounts, and what is so, here and at the provider."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import count
from random import Random
from typing import Any

from django.db import connection, transaction

from catalog.models import Provider, ProviderLine
from catalog.provider.scim import LANGUAGES
from enrollment import agreeing, ending, seats
from enrollment.models import Enrollment, Event, Letter, ProviderAccount, SeatPool, Share
from enrollment.models.provider_account import ProviderAccountQuerySet
from enrollment.privacy import PRIVACY_TEXT_VERSION
from libraries.models import Card, Library, User
from tests.factories import NOW, make_institution, make_library, make_programme, make_provider
from tests.faults.proxy import FaultProxy
from tests.faults.seeded_checker import Ours, Seat, Theirs
from tests.faults.seeded_clock import Clock
from tests.faults.seeded_workers import Worker
from tests.platform_server import RunningPlatform

ROOM = 1_000_000


@dataclass
class Stage:
    """What all runs of a test share: one after another, each with people of its own."""

    platform: RunningPlatform
    proxy: FaultProxy
    clock: Clock
    staff: list[Worker]
    provider: Provider
    pool: SeatPool
    share: Share
    library: Library
    numbers: count[int] = field(default_factory=lambda: count(1))


def make_stage(platform: RunningPlatform, proxy: FaultProxy, clock: Clock, staff: list[Worker]) -> Stage:
    """A pool so large that it is never the matter."""
    provider = make_provider(base_url=f"http://127.0.0.1:{proxy.port}/v2")
    library = make_library("Halle", make_institution("halle"))
    pool = make_programme(cap=ROOM, provider=provider).pool
    SeatPool.objects.filter(pk=pool.pk).update(taken=ROOM // 2)
    Share.objects.filter(pool=pool).update(taken=ROOM // 2)
    pool.refresh_from_db(fields=["taken"])
    return Stage(platform, proxy, clock, staff, provider, pool, pool.shares.get(), library)


@dataclass
class Member:
    name: str
    user_id: int
    card_id: int
    first_name: str
    last_name: str
    email: str
    language: str = "nl"
    seats: list[Enrollment] = field(default_factory=list)
    has_seat: bool = False
    is_erased: bool = False

    @property
    def data(self) -> tuple[str, ...]:
        return (self.email, self.email, self.first_name, self.last_name, LANGUAGES[self.language])


@dataclass
class World:
    stage: Stage
    members: list[Member]

    # --- Wishes: each is one short transaction of the portal, as the operations make it ---

    def give_seat(self, member: Member, *, now: datetime) -> None:
        """A seat was held, and its card is confirmed."""
        enrollment = Enrollment(
            pool=self.stage.pool,
            share=self.stage.share,
            user_id=member.user_id,
            card_id=member.card_id,
            state=Enrollment.State.HELD,
            hold_until=now,
            applied_at=now,
            privacy_version=PRIVACY_TEXT_VERSION,
            privacy_language="nl",
            privacy_read_at=now,
        )
        with transaction.atomic():
            enrollment.save()
            seats.seat_held(self.stage.pool, enrollment, now=now)
        member.seats.append(enrollment)
        member.has_seat = True

    def end_seat(self, member: Member, *, now: datetime) -> None:
        with transaction.atomic():
            ending.end(self.stage.pool, member.seats[-1], reason=ending.EndReason.GIVEN_BACK, by=None, now=now)
        member.has_seat = False

    def erase(self, member: Member, *, now: datetime) -> None:
        self._accounts(member).update(must_be_active=False, must_be_erased=True, **ProviderAccount.debt(now))
        member.is_erased = self._accounts(member).exists()

    def change(self, member: Member, dice: Random, *, now: datetime) -> None:
        """One, two or all of name, address and language."""
        number = next(self.stage.numbers)
        wishes = {
            "email": f"{member.name}.{number}@example.test",
            "last_name": f"Peeters-{number}",
            "language": dice.choice([code for code in LANGUAGES if code != member.language]),
        }
        chosen = dict(dice.sample(list(wishes.items()), dice.choice([1, 1, 2, 3])))
        for name, value in chosen.items():
            setattr(member, name, value)
        User.objects.filter(pk=member.user_id).update(**chosen)

    def sweep(self, *, now: datetime) -> int:
        return agreeing.owe_changes(now=now)

    def compare(self, *, now: datetime) -> None:
        """What the nightly comparison comes to, where what arrived too late has changed something at the provider."""
        owed = ProviderAccount.objects.filter(user_id__in=self.user_ids, due_at=None)
        owed.update(**ProviderAccount.debt(now))

    # --- What is so ---

    def ours(self) -> list[Ours]:
        accounts = {account.user_id: account for account in self._all_accounts()}
        return [_ours(member, accounts.get(member.user_id)) for member in self.members]

    def theirs(self) -> list[Theirs]:
        storage = self.stage.platform.server.platform.storage
        with storage.lock:
            return [_theirs(resource) for resource in storage.resources]

    def seats(self) -> list[Seat]:
        letters, events = self.letters(), self.openings()
        return [
            Seat(
                f"{member.name}#{number}",
                enrollment is member.seats[-1] and member.has_seat,
                letters.count(enrollment.pk),
                events.count(enrollment.pk),
            )
            for member in self.members
            for number, enrollment in enumerate(member.seats)
        ]

    def letters(self) -> list[int]:
        """Seats whose members are told that they can begin, in this order."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT enrollment_id FROM enrollment_letter WHERE kind = %s AND user_id = ANY(%s) ORDER BY id",
                [Letter.Kind.ACCOUNT_READY, self.user_ids],
            )
            return [pk for (pk,) in cursor.fetchall()]

    def openings(self) -> list[int]:
        ids = [enrollment.pk for member in self.members for enrollment in member.seats]
        found = Event.objects.filter(kind=Event.Kind.ACCOUNT_OPENED, enrollment_id__in=ids)
        return [pk for pk in found.values_list("enrollment_id", flat=True) if pk is not None]

    def next_moment(self) -> datetime | None:
        """When something that is owed can be done; None when nothing is owed that people need not look at."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT min(greatest(due_at, lease_until)) FROM enrollment_provideraccount"
                " WHERE user_id = ANY(%s) AND due_at IS NOT NULL AND stuck_at IS NULL",
                [self.user_ids],
            )
            moment: datetime | None = cursor.fetchone()[0]
            return moment

    def last_lease(self) -> datetime | None:
        """When the last of the leases ends."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT max(lease_until) FROM enrollment_provideraccount WHERE user_id = ANY(%s)", [self.user_ids]
            )
            moment: datetime | None = cursor.fetchone()[0]
            return moment

    @property
    def user_ids(self) -> list[int]:
        return [member.user_id for member in self.members]

    def _accounts(self, member: Member) -> ProviderAccountQuerySet:
        return ProviderAccount.objects.filter(user_id=member.user_id)

    def _all_accounts(self) -> list[ProviderAccount]:
        return list(ProviderAccount.objects.filter(user_id__in=self.user_ids))


def make_world(stage: Stage, people: int, *, per_second: int, at_once: int) -> World:
    """At a provider that holds no accounts yet, and was never called."""
    stage.clock.set(NOW)
    Provider.objects.filter(pk=stage.provider.pk).update(calls_per_second=per_second, calls_at_once=at_once)
    storage = stage.platform.server.platform.storage
    with storage.lock:
        storage.resources = []
    ProviderLine.objects.all().delete()
    names = [f"member{next(stage.numbers)}" for _ in range(people)]
    users = User.objects.bulk_create(
        User(email=f"{name}@example.test", password="!", first_name="Ada", last_name="Peeters") for name in names
    )
    cards = Card.objects.bulk_create(
        Card(
            user=user,
            library=stage.library,
            institution_id=stage.library.institution_id,
            number=f"{user.pk:08}",
            state=Card.State.CONFIRMED,
            claimed_at=NOW,
            decided_at=NOW,
            decided_how="roster",
            valid_until=date(2099, 1, 1),
        )
        for user in users
    )
    members = [
        Member(name, user.pk, card.pk, "Ada", "Peeters", user.email)
        for name, user, card in zip(names, users, cards, strict=True)
    ]
    return World(stage, members)


def _ours(member: Member, account: ProviderAccount | None) -> Ours:
    if account is None:
        return Ours(member.name, None, member.has_seat, member.is_erased, member.data, owed=member.has_seat)
    return Ours(
        name=member.name,
        external_id=str(account.external_id),
        must_be_active=member.has_seat,
        must_be_erased=member.is_erased,
        data=member.data,
        seen=account.seen,
        owed=account.due_at is not None,
        stuck=account.trouble if account.stuck_at else "",
    )


def _theirs(resource: Any) -> Theirs:
    """Of a user of scim2-models."""
    name, emails = resource.name, resource.emails or []
    email = emails[0].value if emails else None
    told = (resource.user_name, email, name and name.given_name, name and name.family_name, resource.preferred_language)
    return Theirs(resource.external_id, resource.active is not False, tuple(str(each) for each in told))
