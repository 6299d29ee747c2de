"""The people of the demo: made up, in bulk, each with a history that the rules could have given them.

Nothing is owed for them but their accounts, and those are opened at the sandbox's platform right after.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from io import BytesIO

from dateutil.relativedelta import relativedelta
from django.contrib.auth.hashers import make_password
from django.db import transaction

from catalog.models import Programme
from catalog.provider import registry
from catalog.provider.client import Connection, Person
from catalog.provider.errors import ProviderError
from enrollment import agreeing
from enrollment.models import Enrollment, Event, Letter, ProviderAccount, SeatPool, Share
from enrollment.privacy import PRIVACY_TEXT_VERSION
from enrollment.seats import WAS_HELD
from libraries import rosters
from libraries.models import Card, Institution, Library, User
from libraries.secrets import secret_of
from portal.sandbox.accounts import DEMO_CARDS
from portal.sandbox.demo_catalog import ASKED
from portal.sandbox.demo_names import FIRST_NAMES, LAST_NAMES
from portal.sandbox.library_cards import TO_TRY, Condition, cards_of
from portal.sandbox.only import refuse_outside_the_sandbox

refuse_outside_the_sandbox()

SEATED, HELD, GIVEN_BACK, REFUSED = 1352, 60, 50, 15
FIRST_THOUSAND = 1000  # so many got a place at once, before the cap was raised
EARLY, HOLD = timedelta(days=21), timedelta(days=14)
BY_HAND, AT_ONCE = "by_hand", ("roster", "sip2")
# Small institutions have few members; where the coordination sits, the programme is known best.
WEIGHTS = {"muntpunt": 2.5, "antwerpen": 0.8}
LETTERS = {
    Event.Kind.SEAT_GIVEN: Letter.Kind.SEAT_GIVEN,
    Event.Kind.SEAT_HELD: Letter.Kind.SEAT_HELD,
    Event.Kind.QUEUED: Letter.Kind.IN_QUEUE,
    Event.Kind.CARD_CONFIRMED: Letter.Kind.CARD_CONFIRMED,
    Event.Kind.CARD_REFUSED: Letter.Kind.CARD_REFUSED,
    Event.Kind.ACCOUNT_OPENED: Letter.Kind.ACCOUNT_READY,
    Event.Kind.SEAT_ENDED: Letter.Kind.SEAT_ENDED,
}
State, Kind = Enrollment.State, Event.Kind


@dataclass
class Reader:
    user: User
    card: Card
    enrollment: Enrollment
    # (what, when, who or None for the portal, why), in the order in which it happened
    story: list[tuple[Event.Kind, datetime, User | None, str]] = field(default_factory=list)

    def tell(self, kind: Event.Kind, at: datetime, by: User | None = None, reason: str = "") -> None:
        self.story.append((kind, at, by, reason))


def populate(
    *,
    programme: Programme,
    opened_at: datetime,
    raised_at: datetime,
    deciders: Mapping[str, User],
    now: datetime,
) -> None:
    """In the caller's transaction; the counts of the pool and its shares move with it."""
    crowd = _Crowd(SeatPool.objects.get(programme=programme), deciders, now)
    moments = _moments(crowd.dice, opened_at, raised_at, now)
    for number, applied_at in enumerate(moments):
        crowd.seat(applied_at, queued_until=raised_at if number >= FIRST_THOUSAND and applied_at < raised_at else None)
    for reader in crowd.dice.sample(crowd.readers[:FIRST_THOUSAND], GIVEN_BACK):
        crowd.give_back(reader, after=raised_at)
    for _ in range(HELD):
        crowd.hold(now - timedelta(hours=crowd.dice.uniform(2, 280)))
    for _ in range(REFUSED):
        crowd.refuse(now - timedelta(days=crowd.dice.uniform(5, 18)))
    for slug in ("antwerpen", "muntpunt"):
        crowd.dispute(slug)
    _save(crowd.readers, programme, now=now)
    _import_roster(crowd.readers, deciders["antwerpen"], now=now)


def _moments(dice: random.Random, opened_at: datetime, raised_at: datetime, now: datetime) -> list[datetime]:
    """When those who got a place applied: a rush, then a queue until the cap was raised, then a steady stream."""
    late = now - timedelta(days=3)
    parts = (
        (FIRST_THOUSAND, opened_at, opened_at + EARLY),
        (260, opened_at + EARLY, raised_at),
        (SEATED + GIVEN_BACK - FIRST_THOUSAND - 260, raised_at, late),
    )
    return [
        moment
        for number, start, end in parts
        for moment in sorted(start + (end - start) * dice.random() for _ in range(number))
    ]


class _Crowd:
    def __init__(self, pool: SeatPool, deciders: Mapping[str, User], now: datetime) -> None:
        self.pool, self.deciders, self.now = pool, deciders, now
        self.dice = random.Random(2019)  # the same people in every demo
        self.readers: list[Reader] = []
        self.known = [card.number for card in cards_of(Condition.GOOD)[TO_TRY:]]
        self.shares = list(Share.objects.filter(pool=pool).select_related("institution").order_by("institution__slug"))
        self.libraries: dict[int, list[Library]] = {}
        for library in Library.objects.select_related("institution").order_by("id"):
            self.libraries.setdefault(library.institution_id, []).append(library)
        self.coordinator = User.objects.get(staff_roles__role="coordinator")
        self.no_password = make_password(None)

    # --- What happened to one of them ---

    def seat(self, applied_at: datetime, *, queued_until: datetime | None) -> None:
        reader = self._apply(applied_at, self._any_share())
        decided_at = self._confirm(reader, applied_at)
        held_from = queued_until or applied_at
        if queued_until:
            reader.tell(Kind.QUEUED, applied_at)
        if decided_at > held_from:
            reader.tell(Kind.SEAT_HELD, held_from)
        reader.enrollment.state, reader.enrollment.seated_at = State.SEATED, max(decided_at, held_from)
        reader.enrollment.ends_at = reader.enrollment.seated_at + relativedelta(months=12)
        reader.tell(Kind.SEAT_GIVEN, reader.enrollment.seated_at, reason=WAS_HELD if decided_at > held_from else "")

    def give_back(self, reader: Reader, *, after: datetime) -> None:
        assert reader.enrollment.seated_at
        since = max(after, reader.enrollment.seated_at)
        ended_at = since + (self.now - since) * self.dice.uniform(0.1, 0.9)
        reason = Enrollment.EndReason.GIVEN_BACK
        reader.enrollment.state, reader.enrollment.ended_at = State.ENDED, ended_at
        reader.enrollment.end_reason = reason
        reader.tell(Kind.ACCOUNT_OPENED, _opened_at(reader.enrollment))
        reader.tell(Kind.SEAT_ENDED, ended_at, reader.user, reason)
        reader.tell(Kind.ACCOUNT_CLOSED, ended_at + timedelta(minutes=1))

    def hold(self, applied_at: datetime) -> Reader:
        reader = self._apply(applied_at, self._share_where_somebody_looks())
        reader.enrollment.state, reader.enrollment.hold_until = State.HELD, applied_at + HOLD
        reader.tell(Kind.SEAT_HELD, applied_at)
        return reader

    def refuse(self, applied_at: datetime) -> None:
        reader = self.hold(applied_at)
        at, by = applied_at + timedelta(days=self.dice.uniform(1, 4)), self._decider(reader.card)
        reason = self.dice.choice([Card.Refusal.EXPIRED, Card.Refusal.UNKNOWN, Card.Refusal.NOT_YOURS])
        reader.card.state, reader.card.refusal = Card.State.REFUSED, reason
        reader.card.decided_at, reader.card.decided_by, reader.card.decided_how = at, by, BY_HAND
        reader.enrollment.state, reader.enrollment.hold_until = State.ENDED, None
        reader.enrollment.ended_at, reader.enrollment.end_reason = at, Enrollment.EndReason.CARD_REFUSED
        reader.tell(Kind.CARD_REFUSED, at, by, reason)
        reader.tell(Kind.SEAT_ENDED, at, by, Enrollment.EndReason.CARD_REFUSED)

    def dispute(self, slug: str) -> None:
        """Somebody claims the number of a card that is being looked at."""
        first = next(r for r in self.readers if r.enrollment.state == State.HELD and r.card.institution.slug == slug)
        applied_at = first.enrollment.applied_at + timedelta(minutes=50)
        reader = self._apply(applied_at, first.enrollment.share)
        reader.card.number, reader.card.library = first.card.number, first.card.library
        reader.card.state, reader.enrollment.passed_over = Card.State.DISPUTED, True
        reader.tell(Kind.CARD_DISPUTED, applied_at)
        reader.tell(Kind.QUEUED, applied_at)

    # --- The parts of it ---

    def _apply(self, applied_at: datetime, share: Share) -> Reader:
        institution = share.institution
        user = self._person(applied_at, institution)
        number = self._number(institution)
        library = self.dice.choice(self.libraries[institution.pk])
        card = Card(user=user, library=library, institution=institution, number=number, claimed_at=applied_at)
        enrollment = Enrollment(
            pool=self.pool,
            share=share,
            user=user,
            card=card,
            applied_at=applied_at,
            privacy_version=PRIVACY_TEXT_VERSION,
            privacy_language=user.language,
            privacy_read_at=applied_at,
        )
        reader = Reader(user, card, enrollment)
        reader.tell(Kind.APPLIED, applied_at, user)
        self.readers.append(reader)
        return reader

    def _number(self, institution: Institution) -> str:
        """Where the library system is asked, one that it knows and that is not among those to try the demo with."""
        if institution.slug == ASKED:
            return self.known.pop()
        return str(21_000_001 + len(self.readers))

    def _person(self, applied_at: datetime, institution: Institution) -> User:
        languages = institution.languages.split(";")
        return User(
            email=f"reader{len(self.readers) + 1:04}@example.test",
            password=self.no_password,
            first_name=self.dice.choice(FIRST_NAMES),
            last_name=self.dice.choice(LAST_NAMES),
            language=self.dice.choice(languages if len(languages) > 1 else ["nl"] * 12 + ["fr", "en"]),
            date_joined=applied_at,
            last_login=applied_at,
        )

    def _confirm(self, reader: Reader, applied_at: datetime) -> datetime:
        card = reader.card
        card.state, card.decided_how = Card.State.CONFIRMED, card.institution.card_check
        if card.decided_how != BY_HAND:
            card.decided_at = applied_at
        else:
            decided_at = applied_at + timedelta(hours=self.dice.uniform(1, 60))
            card.decided_at, card.decided_by = decided_at, self._decider(card)
        reader.tell(Kind.CARD_CONFIRMED, card.decided_at, card.decided_by, card.decided_how)
        return card.decided_at

    def _decider(self, card: Card) -> User:
        return self.deciders.get(card.institution.slug, self.coordinator)

    def _any_share(self) -> Share:
        weights = [each.institution.active_members * WEIGHTS.get(each.institution.slug, 1) for each in self.shares]
        return self.dice.choices(self.shares, weights)[0]

    def _share_where_somebody_looks(self) -> Share:
        looking = dict.fromkeys(self.deciders, 2) | {ASKED: 0}
        weights = [looking.get(each.institution.slug, 1) for each in self.shares]
        return self.dice.choices(self.shares, weights)[0]


def _opened_at(enrollment: Enrollment) -> datetime:
    assert enrollment.seated_at
    return enrollment.seated_at + timedelta(minutes=2)


# --- Keeping it ---


def _save(readers: Sequence[Reader], programme: Programme, *, now: datetime) -> None:
    User.objects.bulk_create((reader.user for reader in readers), batch_size=500)
    Card.objects.bulk_create((reader.card for reader in readers), batch_size=500)
    Enrollment.objects.bulk_create((reader.enrollment for reader in readers), batch_size=500)
    _save_stories(readers)
    accounts = (_account(reader.enrollment, programme, now) for reader in readers if reader.enrollment.seated_at)
    ProviderAccount.objects.bulk_create(accounts, batch_size=500)
    _count([reader.enrollment for reader in readers if reader.enrollment.has_seat])


def _save_stories(readers: Iterable[Reader]) -> None:
    told = [(reader, sorted(reader.story, key=lambda line: line[1])) for reader in readers]
    Event.objects.bulk_create(
        (
            _event(reader.enrollment, kind, at, by=by.pk if by else None, reason=reason)
            for reader, story in told
            for kind, at, by, reason in story
        ),
        batch_size=1000,
    )
    Letter.objects.bulk_create(
        (
            _letter(reader.enrollment, kind, at, reason)
            for reader, _ in told
            for kind, at, _, reason in _written(reader)
        ),
        batch_size=1000,
    )


def _written(reader: Reader) -> list[tuple[Event.Kind, datetime, User | None, str]]:
    """What a letter was about: the letter about the card also tells of the seat that was held, given or ended."""
    kinds = {kind for kind, *_ in reader.story}
    told = {Kind.SEAT_GIVEN} if Kind.SEAT_HELD in kinds else set()
    told |= {Kind.SEAT_ENDED} if Kind.CARD_REFUSED in kinds else set()
    return [line for line in reader.story if line[0] in LETTERS and line[3] not in AT_ONCE and line[0] not in told]


def _event(enrollment: Enrollment, kind: Event.Kind, at: datetime, *, by: int | None = None, reason: str = "") -> Event:
    return Event(
        kind=kind,
        at=at,
        actor_id=by,
        reason=reason,
        enrollment_id=enrollment.pk,
        card_id=enrollment.card_id,
        pool_id=enrollment.pool_id,
        institution_id=enrollment.share.institution_id,
    )


def _letter(enrollment: Enrollment, kind: Event.Kind, at: datetime, reason: str = "") -> Letter:
    why = reason if kind in (Kind.CARD_REFUSED, Kind.SEAT_ENDED) else ""
    return Letter(
        kind=LETTERS[kind], enrollment=enrollment, user_id=enrollment.user_id, reason=why, owed_at=at, sent_at=at
    )


def _account(enrollment: Enrollment, programme: Programme, now: datetime) -> ProviderAccount:
    """Owed for who has a place; for who gave it back, the platform has none any more."""
    account = ProviderAccount(user_id=enrollment.user_id, provider_id=programme.provider_id, must_be_active=True)
    if enrollment.state == State.SEATED:
        account.due_at = now
    else:
        account.must_be_active, account.seen, account.seen_at = False, ProviderAccount.Seen.ABSENT, enrollment.ended_at
    return account


def _count(with_seat: Sequence[Enrollment]) -> None:
    for share_id, taken in Counter(enrollment.share_id for enrollment in with_seat).items():
        Share.objects.filter(pk=share_id).update(taken=taken)
    SeatPool.objects.filter(pk=with_seat[0].pool_id).update(taken=len(with_seat))


def _import_roster(readers: Iterable[Reader], by: User, *, now: datetime) -> None:
    """Antwerp's list: everybody it has confirmed, those it has to look at (without a date of birth), and the cards to
    try the demo with."""
    antwerp = Institution.objects.get(slug="antwerpen")
    dice = random.Random(1819)
    later, earlier = (now + timedelta(days=400)).date(), (now - timedelta(days=40)).date()
    lines = {card.number: (card.born, later if card.valid else earlier) for card in DEMO_CARDS}
    for reader in readers:
        if reader.card.institution_id == antwerp.pk:
            born = f"{dice.randint(1938, 2006)}-{dice.randint(1, 12):02}-{dice.randint(1, 28):02}"
            lines[reader.card.number] = (born if reader.card.state == Card.State.CONFIRMED else "", later)
    text = "".join(f"{number};{born};{until}\n" for number, (born, until) in lines.items())
    source = BytesIO(f"number;birth_date;valid_until\n{text}".encode())
    rosters.import_roster(institution=antwerp, source=source, by=by, now=now)


# --- At the platform ---


def open_accounts(*, now: datetime) -> int:
    """Open what is owed at the platform, many at once; says how many. What it does not open, the workers will."""
    owed = ProviderAccount.objects.filter(must_be_active=True, seen=ProviderAccount.Seen.UNKNOWN, lease_token=None)
    accounts = list(owed.select_related("user", "provider"))
    opened = _open_each(accounts[:1])
    if opened:
        opened |= _open_each(accounts[1:])
    _note_opened(opened, now=now)
    return len(opened)


def _open_each(accounts: Sequence[ProviderAccount]) -> dict[int, str]:
    """The platform's ids of those that it opened."""
    token = secret_of("SANDBOX_PLATFORM_TOKEN")
    with ThreadPoolExecutor(4) as several:
        remote_ids = several.map(_opener(token), accounts)
        return {account.pk: found for account, found in zip(accounts, remote_ids, strict=True) if found}


def _opener(token: str) -> Callable[[ProviderAccount], str | None]:
    def open_one(account: ProviderAccount) -> str | None:
        user = account.user
        person = Person(str(account.external_id), user.email, user.first_name, user.last_name, user.language)
        client = registry.client_for(account.provider.kind, Connection(account.provider.base_url, token))
        try:
            return client.create(person).remote_id
        except ProviderError:
            return None

    return open_one


@transaction.atomic
def _note_opened(opened: Mapping[int, str], *, now: datetime) -> None:
    """A worker that has claimed one meanwhile notes it itself."""
    unclaimed = ProviderAccount.objects.filter(pk__in=opened, lease_token=None, seen=ProviderAccount.Seen.UNKNOWN)
    accounts = list(unclaimed.select_for_update(no_key=True).order_by("id"))
    for account in accounts:
        account.remote_id, account.due_at = opened[account.pk], None
        account.seen, account.seen_at, account.first_claimed_at = ProviderAccount.Seen.ACTIVE, now, now
    fields = ["remote_id", "due_at", "seen", "seen_at", "first_claimed_at"]
    ProviderAccount.objects.bulk_update(accounts, fields, batch_size=500)
    agreeing.note_told([account.pk for account in accounts], now=now)
    users = [account.user_id for account in accounts]
    seats = Enrollment.objects.filter(user_id__in=users, state=State.SEATED).select_related("share")
    lines = [(enrollment, _opened_at(enrollment)) for enrollment in seats.order_by("id")]
    Event.objects.bulk_create((_event(e, Kind.ACCOUNT_OPENED, at) for e, at in lines), batch_size=1000)
    Letter.objects.bulk_create((_letter(e, Kind.ACCOUNT_OPENED, at) for e, at in lines), batch_size=1000)
