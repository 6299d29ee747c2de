"""Who gets a seat: the cap, floors, ceilings and the queue."""

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, timedelta

import pytest
from django.db import IntegrityError, connection, transaction

from catalog.models import Programme
from enrollment import ending, seats, waiting_list
from enrollment.models import Enrollment, Event, Letter, ProviderAccount, SeatPool, Share
from libraries.models import Card, Institution
from tests.factories import NOW, make_institution, make_library, make_member, make_programme, make_provider

pytestmark = pytest.mark.django_db

State = Enrollment.State


@pytest.fixture
def antwerpen() -> Institution:
    return make_institution("antwerpen")


@pytest.fixture
def halle() -> Institution:
    return make_institution("halle")


def queue(programme: Programme, names: str, institution: Institution) -> None:
    """One application for each letter, a minute apart, in the order of the whole queue so far."""
    for name in names:
        at = NOW + timedelta(minutes=Enrollment.objects.count())
        library = make_library(f"Library of {institution.slug}", institution)
        make_member(f"{name}@example.test", programme=programme, library=library, now=at)


def who(programme: Programme, *states: str) -> str:
    """The first letters of the email addresses of those in these states, in queue order."""
    found = Enrollment.objects.filter(pool=programme.pool, state__in=states).in_queue_order()
    return "".join(found.values_list("user__email", flat=True)).replace("@example.test", "")


def allocate(programme: Programme, now: datetime = NOW) -> Sequence[Enrollment]:
    with transaction.atomic():
        return seats.allocate(seats.lock(programme.pool.pk), now=now)


def set_pool(programme: Programme, **fields: int | None) -> None:
    SeatPool.objects.filter(programme=programme).update(**fields)


def set_share(institution: Institution, **fields: int | None) -> None:
    Share.objects.filter(institution=institution).update(**fields)


def check_counts(programme: Programme) -> None:
    pool = SeatPool.objects.get(programme=programme)
    holding = Counter(Enrollment.objects.filter(pool=pool).holding_seats().values_list("share_id", flat=True))
    assert pool.taken == sum(holding.values())
    assert {share.pk: share.taken for share in pool.shares.all()} == {
        share.pk: holding[share.pk] for share in pool.shares.all()
    }


def test_allocate_gives_seats_in_the_order_of_application(antwerpen: Institution) -> None:
    programme = make_programme(cap=2)
    queue(programme, "abcd", antwerpen)
    assert who(programme, State.HELD) == "ab"
    assert who(programme, State.WAITING) == "cd"
    set_pool(programme, cap=3)
    assert [enrollment.user.email for enrollment in allocate(programme)] == ["c@example.test"]
    check_counts(programme)


def test_allocate_twice_gives_nothing_more(antwerpen: Institution) -> None:
    programme = make_programme(cap=1)
    queue(programme, "abc", antwerpen)
    set_pool(programme, cap=2)
    assert len(allocate(programme)) == 1
    assert allocate(programme) == []
    check_counts(programme)


def test_allocate_goes_by_priority_then_time_then_id(antwerpen: Institution) -> None:
    programme = make_programme(cap=0)
    queue(programme, "abcd", antwerpen)
    Enrollment.objects.filter(user__email="d@example.test").update(priority=Enrollment.FIRST)
    Enrollment.objects.exclude(user__email="a@example.test").update(applied_at=NOW - timedelta(days=1))
    set_pool(programme, cap=3)
    allocate(programme)
    assert who(programme, State.HELD) == "dbc"


def test_allocate_passes_over_who_may_not_have_a_seat(antwerpen: Institution) -> None:
    programme = make_programme(cap=0)
    queue(programme, "abc", antwerpen)
    Enrollment.objects.filter(user__email="a@example.test").update(passed_over=True)
    set_pool(programme, cap=1)
    allocate(programme)
    assert who(programme, State.HELD) == "b"


def test_allocate_seats_a_confirmed_card_and_holds_for_another(antwerpen: Institution) -> None:
    programme = make_programme(cap=0, hold_days=14, term_months=12)
    queue(programme, "ab", antwerpen)
    confirmed = Card.objects.filter(user__email="a@example.test")
    confirmed.update(state=Card.State.CONFIRMED, decided_at=NOW + timedelta(hours=1), decided_how="by_hand")
    set_pool(programme, cap=2)
    later = NOW + timedelta(days=1)
    allocate(programme, later)
    ada = Enrollment.objects.get(user__email="a@example.test")
    bo = Enrollment.objects.get(user__email="b@example.test")
    assert (ada.state, ada.seated_at, ada.ends_at, ada.hold_until) == (
        State.SEATED,
        later,
        later.replace(year=2027),
        None,
    )
    assert (bo.state, bo.seated_at, bo.ends_at, bo.hold_until) == (
        State.HELD,
        None,
        None,
        later + timedelta(days=14),
    )
    assert list(ProviderAccount.objects.values_list("user_id", "must_be_active", "due_at")) == [
        (ada.user_id, True, later)
    ]
    kinds = Letter.objects.filter(owed_at=later).order_by("id").values_list("user__email", "kind")
    assert list(kinds) == [("a@example.test", "seat_given"), ("b@example.test", "seat_held")]
    events = Event.objects.filter(at=later).order_by("id").values_list("enrollment_id", "kind")
    assert list(events) == [(ada.pk, "seat_given"), (bo.pk, "seat_held")]


def test_floor_is_kept_free_for_its_institution(antwerpen: Institution, halle: Institution) -> None:
    programme = make_programme(cap=5)
    set_pool(programme, floors=2)
    set_share(halle, floor=2)
    queue(programme, "abcde", antwerpen)
    assert who(programme, State.HELD) == "abc"
    queue(programme, "xyz", halle)
    assert who(programme, State.HELD) == "abcxy"
    assert who(programme, State.WAITING) == "dez"
    check_counts(programme)


def test_seats_above_the_floors_are_for_everyone_in_queue_order(antwerpen: Institution, halle: Institution) -> None:
    programme = make_programme(cap=0)
    set_share(halle, floor=1)
    queue(programme, "ab", antwerpen)
    queue(programme, "xy", halle)
    queue(programme, "c", antwerpen)
    set_pool(programme, cap=4, floors=1)
    allocate(programme)
    # x by the floor; a, b and y are the first of the queue for the three others
    assert who(programme, State.HELD) == "abxy"


def test_ceiling_is_never_passed_and_blocks_nobody_else(antwerpen: Institution, halle: Institution) -> None:
    programme = make_programme(cap=5)
    set_share(antwerpen, ceiling=2)
    queue(programme, "abcd", antwerpen)
    queue(programme, "xy", halle)
    assert who(programme, State.HELD) == "abxy"
    assert who(programme, State.WAITING) == "cd"
    assert allocate(programme) == []
    check_counts(programme)


def test_ceiling_is_kept_when_many_seats_come_free_at_once(antwerpen: Institution, halle: Institution) -> None:
    programme = make_programme(cap=0)
    set_share(antwerpen, ceiling=3, floor=1)
    queue(programme, "abcdef", antwerpen)
    queue(programme, "xy", halle)
    set_pool(programme, cap=50, floors=1)
    allocate(programme)
    assert who(programme, State.HELD) == "abcxy"


def test_floors_above_what_is_free_are_served_in_queue_order(antwerpen: Institution, halle: Institution) -> None:
    """When more is taken above the floors than should be, what comes free goes to floors only, first come first."""
    programme = make_programme(cap=3)
    queue(programme, "abc", antwerpen)
    queue(programme, "xy", halle)
    set_share(halle, floor=2)
    set_pool(programme, cap=4, floors=2)
    allocate(programme)
    assert who(programme, State.HELD) == "abcx"


def test_planned_cap_gives_out_nothing_and_sinks_with_every_seat_that_ends(antwerpen: Institution) -> None:
    programme = make_programme(cap=4)
    queue(programme, "abcdw", antwerpen)
    set_pool(programme, planned_cap=2)
    for name, left in [("a", (3, 2)), ("b", (2, None)), ("c", (2, None))]:
        with transaction.atomic():
            pool = seats.lock(programme.pool.pk)
            enrollment = Enrollment.objects.select_related("share").get(user__email=f"{name}@example.test")
            seats.vacate(pool, enrollment, now=NOW)
            Enrollment.objects.filter(pk=enrollment.pk).update(
                state=State.ENDED, ended_at=NOW, end_reason="given_back", hold_until=None
            )
            seats.allocate(pool, now=NOW)
        pool = SeatPool.objects.get()
        assert (pool.cap, pool.planned_cap) == left
    assert who(programme, State.HELD) == "dw"
    check_counts(programme)


def test_vacate_refuses_a_seat_nobody_has(antwerpen: Institution) -> None:
    programme = make_programme(cap=0)
    queue(programme, "a", antwerpen)
    with transaction.atomic(), pytest.raises(ValueError, match="nobody has"):
        seats.vacate(seats.lock(programme.pool.pk), Enrollment.objects.get(), now=NOW)


def test_account_stays_open_while_another_programme_of_the_provider_needs_it(antwerpen: Institution) -> None:
    provider = make_provider()
    first, second = make_programme("first", provider=provider), make_programme("second", provider=provider)
    for programme in (first, second):
        enrollment = make_member("a@example.test", programme=programme, number="21000001")
        with transaction.atomic():
            seats.seat_held(seats.lock(programme.pool.pk), enrollment, now=NOW)
    for programme, must_be_active in ((first, True), (second, False)):
        enrollment = Enrollment.objects.select_related("share").get(pool=programme.pool)
        with transaction.atomic():
            seats.vacate(seats.lock(programme.pool.pk), enrollment, now=NOW)
            Enrollment.objects.filter(pk=enrollment.pk).update(state=State.ENDED, ended_at=NOW, end_reason="given_back")
        assert ProviderAccount.objects.get().must_be_active is must_be_active


def test_vacate_each_counts_each_share_and_keeps_only_the_accounts_that_are_needed(
    antwerpen: Institution, halle: Institution
) -> None:
    provider = make_provider()
    first, second = make_programme("first", provider=provider), make_programme("second", provider=provider)
    queue(first, "ab", antwerpen)
    queue(first, "c", halle)
    queue(second, "b", antwerpen)
    for enrollment in Enrollment.objects.select_related("share").order_by("pk"):
        with transaction.atomic():
            seats.seat_held(seats.lock(enrollment.pool_id), enrollment, now=NOW)
    seated = list(Enrollment.objects.filter(pool=first.pool).order_by("pk"))
    with transaction.atomic():
        seats.vacate_each(seats.lock(first.pool.pk), seated, now=NOW)
        Enrollment.objects.filter(pool=first.pool).update(state=State.ENDED, ended_at=NOW, end_reason="given_back")
    check_counts(first)
    accounts = ProviderAccount.objects.order_by("user__email").values_list("user__email", "must_be_active")
    assert dict(accounts) == {"a@example.test": False, "b@example.test": True, "c@example.test": False}


@pytest.mark.parametrize(
    ("fields", "constraint"),
    [
        ({"taken": 3}, "pool_taken_within_cap"),
        ({"floors": 3}, "pool_floors_within_cap"),
        ({"planned_cap": 2}, "pool_planned_cap_below_cap"),
    ],
)
def test_database_refuses_a_pool_that_breaks_a_promise(fields: dict[str, int], constraint: str) -> None:
    programme = make_programme(cap=2)
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        set_pool(programme, **fields)


def test_database_refuses_a_share_above_its_ceiling(antwerpen: Institution) -> None:
    make_programme(cap=2)
    with pytest.raises(IntegrityError, match="share_within_ceiling"), transaction.atomic():
        set_share(antwerpen, ceiling=1, taken=2)


def test_database_refuses_a_share_of_another_pool(antwerpen: Institution) -> None:
    first, second = make_programme("first"), make_programme("second")
    queue(first, "a", antwerpen)
    with pytest.raises(IntegrityError, match="enrollment_share_of_pool"), transaction.atomic():
        connection.cursor().execute(
            "SET CONSTRAINTS ALL IMMEDIATE; UPDATE enrollment_enrollment SET share_id = %s",
            [second.pool.shares.get().pk],
        )


def test_lent_floor_is_for_everybody_and_comes_back_as_places_end(antwerpen: Institution, halle: Institution) -> None:
    programme = make_programme(cap=3)
    set_pool(programme, floors=2)
    set_share(halle, floor=2)
    queue(programme, "abcd", antwerpen)
    assert who(programme, State.HELD) == "a"
    Share.objects.filter(institution=halle).update(lends_from=date(2026, 8, 1))
    assert allocate(programme, NOW) == []
    allocate(programme, NOW + timedelta(days=60))
    assert who(programme, State.HELD) == "abc"
    queue(programme, "xy", halle)
    for name in "ab":
        enrollment = Enrollment.objects.get(user__email=f"{name}@example.test")
        ending.give_back(enrollment_id=enrollment.pk, by=enrollment.user, now=NOW + timedelta(days=61))
    # d has waited longer, but x and y are within what was lent
    assert (who(programme, State.HELD), who(programme, State.WAITING)) == ("cxy", "d")
    check_counts(programme)


def test_lent_floor_takes_nothing_that_is_kept_for_another(antwerpen: Institution, halle: Institution) -> None:
    programme = make_programme(cap=4)
    set_pool(programme, floors=4)
    set_share(halle, floor=2)
    Share.objects.filter(institution=antwerpen).update(floor=2, lends_from=date(2026, 1, 1))
    dilbeek = make_institution("dilbeek")
    Share.objects.create(pool=programme.pool, institution=dilbeek)
    queue(programme, "xyz", dilbeek)
    assert who(programme, State.HELD) == "xy"
    queue(programme, "ab", antwerpen)
    assert who(programme, State.WAITING) == "zab"
    queue(programme, "h", halle)
    assert who(programme, State.HELD) == "xyh"
    check_counts(programme)


def test_serve_gives_out_what_came_free_with_a_date(antwerpen: Institution, halle: Institution) -> None:
    programme = make_programme(cap=2)
    set_pool(programme, floors=1)
    Share.objects.filter(institution=halle).update(floor=1, lends_from=date(2026, 8, 1))
    queue(programme, "ab", antwerpen)
    assert (waiting_list.serve(now=NOW), who(programme, State.HELD)) == (0, "a")
    later = NOW + timedelta(days=60)
    assert [waiting_list.serve(now=later) for _ in range(2)] == [1, 0]
    check_counts(programme)


def test_foresee_says_what_allocate_gives(antwerpen: Institution, halle: Institution) -> None:
    programme = make_programme(cap=0)
    queue(programme, "ab", antwerpen)
    queue(programme, "x", halle)
    set_pool(programme, cap=2)
    pool = SeatPool.objects.select_related("programme").get(programme=programme)
    foreseen = {each.share_id: (each.seated, each.held) for each in seats.foresee(pool, free=2, now=NOW)}
    given = Counter(enrollment.share_id for enrollment in allocate(programme))
    assert foreseen == {share_id: (0, count) for share_id, count in given.items()}
    halles = {"id": pool.shares.get(institution=halle).pk, "floor": 0, "ceiling": 0, "lends_from": None}
    assert seats.foresee(pool, free=2, terms=[halles], now=NOW) == []
