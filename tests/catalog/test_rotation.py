"""What stands against a plan of the courses on offer, in words; and the same rules in the database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone, translation

from catalog import rotation
from catalog.models import Course, Listing, Programme
from catalog.offer_rules import Role, Rule, Slot
from catalog.rotation import Plan
from tests.enrollment.views.shelf_of_courses import make_course, offer_course
from tests.factories import make_programme, make_provider

pytestmark = pytest.mark.django_db

NOW = timezone.now()
TODAY = timezone.localdate(NOW)
LONG_AGO = TODAY - timedelta(days=100)


def days(number: int) -> date:
    return TODAY + timedelta(days=number)


@pytest.fixture
def programme() -> Programme:
    return make_programme(core_titles=2)


@pytest.fixture
def spanish(programme: Programme) -> Course:
    return make_course("Spaans")


@pytest.fixture
def french(programme: Programme) -> Course:
    return make_course("Frans")


def against(
    programme: Programme, plan: Plan, *, learners: dict[int, int] | None = None, now: datetime = NOW
) -> list[Rule]:
    outcome = rotation.foresee(programme, plan, learners=learners or {}, now=now)
    return [reason.rule for reason in outcome.reasons]


def carried_out(programme: Programme, plan: Plan) -> None:
    with transaction.atomic():
        rotation.carry_out(rotation.lock(programme.pk), plan, learners={}, now=NOW)


def offered() -> list[tuple[str, str, date, date | None]]:
    rows = Listing.objects.order_by("offered_from", "course__title")
    return list(rows.values_list("course__title", "role", "offered_from", "offered_until"))


# --- Replace ---


def test_titles_are_replaced_from_a_day(programme: Programme, spanish: Course, french: Course) -> None:
    dutch, old = make_course("Nederlands"), offer_course(programme, spanish)
    full = offer_course(programme, dutch)
    carried_out(programme, rotation.replacing(out=[old.pk, full.pk], come=[french.pk], day=days(40)))
    assert offered() == [
        ("Nederlands", "core", LONG_AGO, days(40)),
        ("Spaans", "core", LONG_AGO, days(40)),
        ("Frans", "core", days(40), None),
    ]


def test_plan_is_looked_at_with_two_queries_however_many_titles_there_are(
    programme: Programme, spanish: Course, french: Course
) -> None:
    old = offer_course(programme, spanish)
    plan = rotation.replacing(out=[old.pk], come=[french.pk], day=days(40))
    with CaptureQueriesContext(connection) as few:
        rotation.foresee(programme, plan, learners={}, now=NOW)
    for number in range(20):
        offer_course(programme, make_course(f"Title {number}"), offered_until=days(-2), offered_from=days(-3))
    with CaptureQueriesContext(connection) as many:
        rotation.foresee(programme, plan, learners={}, now=NOW)
    assert (len(few), len(many)) == (2, 2)


def test_more_core_titles_than_allowed_are_refused_with_the_day_and_the_number(
    programme: Programme, spanish: Course, french: Course
) -> None:
    offer_course(programme, spanish)
    offer_course(programme, make_course("Nederlands"))
    plan = rotation.replacing(out=[], come=[french.pk], day=days(40))
    assert against(programme, plan) == [Rule.TOO_MANY]
    with translation.override("en"):
        words = rotation.foresee(programme, plan, learners={}, now=NOW).reasons[0].words
    assert words.endswith("there would be 3 core titles, and 2 at most are allowed.")
    with pytest.raises(rotation.CannotPlan):
        carried_out(programme, plan)
    assert Listing.objects.count() == 2


def test_most_is_counted_on_each_day_and_not_over_the_whole_time(programme: Programme, spanish: Course) -> None:
    for title, since, until in (("A", -100, 10), ("B", 10, 20), ("C", 20, None)):
        end = None if until is None else days(until)
        offer_course(programme, make_course(title), offered_from=days(since), offered_until=end)
    fits = Plan(come=(Slot(course_id=spanish.pk, since=days(5)),))
    assert against(programme, fits) == []
    programme.core_titles = 1
    assert against(programme, fits) == [Rule.TOO_MANY]


def test_one_that_leaves_makes_room_on_the_very_day(programme: Programme, spanish: Course, french: Course) -> None:
    old = offer_course(programme, spanish)
    offer_course(programme, make_course("Nederlands"))
    assert against(programme, rotation.replacing(out=[old.pk], come=[french.pk], day=days(40))) == []


def test_days_gone_by_are_not_held_against_a_plan(programme: Programme, spanish: Course, french: Course) -> None:
    """The programme had more titles then."""
    Programme.objects.update(core_titles=9)
    for number in range(4):
        offer_course(programme, make_course(f"Old {number}"), offered_until=days(-1))
    programme.core_titles = 2
    programme.save()
    old = offer_course(programme, spanish)
    assert against(programme, rotation.replacing(out=[old.pk], come=[french.pk], day=days(40))) == []
    carried_out(programme, rotation.replacing(out=[old.pk], come=[french.pk], day=days(40)))


def test_course_twice_at_once_is_refused(programme: Programme, spanish: Course, french: Course) -> None:
    offer_course(programme, spanish, offered_until=days(50))
    again = rotation.replacing(out=[], come=[spanish.pk], day=days(40))
    assert against(programme, again) == [Rule.ON_OFFER]
    assert against(programme, rotation.replacing(out=[], come=[spanish.pk], day=days(50))) == []
    assert against(programme, rotation.replacing(out=[], come=[french.pk, french.pk], day=days(50))) == [Rule.ON_OFFER]


def test_course_of_another_provider_is_refused(programme: Programme) -> None:
    foreign = make_course("Elsewhere")
    Course.objects.filter(pk=foreign.pk).update(provider=make_provider("other", name="Other"))
    plan = rotation.replacing(out=[], come=[foreign.pk], day=days(1))
    assert against(programme, plan) == [Rule.OTHER_PROVIDER]


def test_listing_of_another_programme_and_a_course_that_is_gone_are_refused(
    programme: Programme, spanish: Course
) -> None:
    elsewhere = offer_course(make_programme("other"), spanish)
    plan = Plan(ends=((elsewhere.pk, days(40)),), come=(Slot(course_id=0, since=days(40)),))
    assert against(programme, plan) == [Rule.GONE, Rule.UNKNOWN_COURSE]


@pytest.mark.parametrize(
    ("since", "until", "rule"),
    [
        (-1, None, Rule.IN_THE_PAST),
        (5, 5, Rule.ENDS_BEFORE_START),
        (5, 4, Rule.ENDS_BEFORE_START),
        (4000, None, Rule.TOO_FAR),
    ],
)
def test_days_without_sense_are_refused(
    programme: Programme, spanish: Course, since: int, until: int | None, rule: Rule
) -> None:
    slot = Slot(course_id=spanish.pk, since=days(since), until=None if until is None else days(until))
    assert against(programme, Plan(come=(slot,))) == [rule]


def test_all_reasons_are_told_at_once(programme: Programme, spanish: Course, french: Course) -> None:
    Programme.objects.filter(pk=programme.pk).update(core_titles=1)
    programme.refresh_from_db()
    offer_course(programme, spanish)
    plan = rotation.replacing(out=[], come=[french.pk, spanish.pk], day=days(-1))
    assert against(programme, plan) == [Rule.IN_THE_PAST, Rule.IN_THE_PAST, Rule.ON_OFFER, Rule.TOO_MANY]


def test_plan_that_changes_nothing_is_told_so(programme: Programme, spanish: Course) -> None:
    row = offer_course(programme, spanish, offered_until=days(40))
    assert against(programme, rotation.ending(listing_id=row.pk, day=days(40))) == [Rule.NOTHING]
    assert against(programme, Plan()) == [Rule.NOTHING]


# --- A module of the month ---


def test_module_lasts_its_month_leap_days_and_years_too(programme: Programme, spanish: Course) -> None:
    before = datetime(2027, 1, 5, 12, tzinfo=UTC)
    spans = {}
    for month in (date(2027, 2, 14), date(2028, 2, 29), date(2027, 12, 1)):
        (slot,) = rotation.module(course_id=spanish.pk, month=month, now=before).come
        spans[month] = (slot.since, slot.until)
    assert spans == {
        date(2027, 2, 14): (date(2027, 2, 1), date(2027, 3, 1)),
        date(2028, 2, 29): (date(2028, 2, 1), date(2028, 3, 1)),
        date(2027, 12, 1): (date(2027, 12, 1), date(2028, 1, 1)),
    }


def test_module_of_a_month_that_has_begun_begins_today(programme: Programme, spanish: Course) -> None:
    (slot,) = rotation.module(
        course_id=spanish.pk, month=date(2027, 2, 1), now=datetime(2027, 2, 28, 23, 30, tzinfo=UTC)
    ).come
    # Half past midnight in Brussels, on the first of March: the month is over.
    assert slot.since == date(2027, 2, 28)
    late = datetime(2027, 2, 28, 22, 30, tzinfo=UTC)
    assert rotation.module(course_id=spanish.pk, month=date(2027, 2, 1), now=late).come[0].since == date(2027, 2, 28)


def test_today_is_the_day_where_the_libraries_are_also_when_the_clocks_change(
    programme: Programme, spanish: Course
) -> None:
    """On 28 March 2027 the day there begins an hour before that of UTC, and has 23 hours."""
    plan = Plan(come=(Slot(course_id=spanish.pk, since=date(2027, 3, 28)),))
    assert against(programme, plan, now=datetime(2027, 3, 28, 21, 59, tzinfo=UTC)) == []
    assert against(programme, plan, now=datetime(2027, 3, 28, 22, 0, tzinfo=UTC)) == [Rule.IN_THE_PAST]


def test_month_has_one_module(programme: Programme, spanish: Course, french: Course) -> None:
    month = days(40).replace(day=1)
    carried_out(programme, rotation.module(course_id=spanish.pk, month=month, now=NOW))
    assert against(programme, rotation.module(course_id=french.pk, month=month, now=NOW)) == [Rule.MODULE_TAKEN]
    assert against(programme, rotation.module(course_id=french.pk, month=days(80), now=NOW)) == []


def test_module_is_not_one_of_the_core_titles(programme: Programme, spanish: Course, french: Course) -> None:
    offer_course(programme, spanish)
    offer_course(programme, make_course("Nederlands"))
    assert against(programme, rotation.module(course_id=french.pk, month=days(40), now=NOW)) == []


# --- End, change, withdraw ---


def test_what_has_begun_only_ends(programme: Programme, spanish: Course) -> None:
    row = offer_course(programme, spanish)
    assert against(programme, rotation.withdrawing(listing_id=row.pk)) == [Rule.STAYS]
    later = Slot(course_id=spanish.pk, since=days(5), listing_id=row.pk)
    assert against(programme, Plan(change=(later,))) == [Rule.HAS_BEGUN]
    module = Slot(course_id=spanish.pk, since=LONG_AGO, role=Role.MODULE, listing_id=row.pk)
    assert against(programme, Plan(change=(module,))) == [Rule.HAS_BEGUN]
    carried_out(programme, rotation.ending(listing_id=row.pk, day=TODAY))
    assert offered() == [("Spaans", "core", LONG_AGO, TODAY)]
    assert against(programme, rotation.ending(listing_id=row.pk, day=None)) == [Rule.HAS_ENDED]


def test_planned_title_is_withdrawn_or_moved(programme: Programme, spanish: Course, french: Course) -> None:
    row, other = (offer_course(programme, each, offered_from=days(5)) for each in (spanish, french))
    carried_out(programme, Plan(remove=(row.pk,), change=(Slot(course_id=0, since=days(8), listing_id=other.pk),)))
    assert offered() == [("Frans", "core", days(8), None)]


def test_title_that_is_followed_leaves_30_days_from_now_at_the_earliest(programme: Programme, spanish: Course) -> None:
    row = offer_course(programme, spanish)
    followed = {spanish.pk: 3}
    for sooner in (0, 29):
        plan = rotation.ending(listing_id=row.pk, day=days(sooner))
        assert against(programme, plan, learners=followed) == [Rule.STARTED]
        (reason,) = rotation.foresee(programme, plan, learners=followed, now=NOW).reasons
        assert (reason.told["members"], reason.told["day"]) == (3, days(30))
    assert against(programme, rotation.ending(listing_id=row.pk, day=days(30)), learners=followed) == []


def test_title_that_leaves_soon_may_stay_longer_but_not_shorter(programme: Programme, spanish: Course) -> None:
    row = offer_course(programme, spanish, offered_until=days(10))
    followed = {spanish.pk: 3}
    assert against(programme, rotation.ending(listing_id=row.pk, day=days(20)), learners=followed) == []
    assert against(programme, rotation.ending(listing_id=row.pk, day=days(9)), learners=followed) == [Rule.STARTED]


def test_title_that_comes_again_on_the_same_day_does_not_leave(programme: Programme, spanish: Course) -> None:
    row = offer_course(programme, spanish)
    plan = rotation.replacing(out=[row.pk], come=[spanish.pk], day=days(3))
    assert against(programme, plan, learners={spanish.pk: 3}) == []


# --- In the database ---


def written(*acts: Callable[[], object]) -> None:
    """In a transaction of their own, up to the checks at its end."""
    with transaction.atomic():
        for act in acts:
            act()
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")


def test_database_refuses_a_core_title_too_many_at_the_end_of_the_transaction(programme: Programme) -> None:
    rows = [offer_course(programme, make_course(f"Title {number}")) for number in range(2)]
    first = Listing.objects.filter(pk=rows[0].pk)
    later = partial(offer_course, programme, make_course("Later"), offered_from=days(400))
    with pytest.raises(IntegrityError, match="more core titles at once"):
        written(later)
    written(later, lambda: first.update(offered_until=days(400)))
    with pytest.raises(IntegrityError, match="more core titles at once"):
        written(lambda: first.update(offered_until=None))


def test_from_a_programme_with_too_many_titles_some_may_still_leave(programme: Programme) -> None:
    rows = [offer_course(programme, make_course(f"Title {number}")) for number in range(2)]
    coming = make_course("Coming")
    written()
    with connection.cursor() as cursor:  # as before there was such a rule
        cursor.execute("SET LOCAL session_replication_role = replica")
        Programme.objects.update(core_titles=1)
        cursor.execute("SET LOCAL session_replication_role = origin")
    programme.refresh_from_db()
    carried_out(programme, rotation.ending(listing_id=rows[1].pk, day=days(50)))
    written()
    one_for_one = {day: rotation.replacing(out=[rows[0].pk], come=[coming.pk], day=days(day)) for day in (40, 50)}
    assert [against(programme, plan) for plan in one_for_one.values()] == [[Rule.TOO_MANY], []]
    with pytest.raises(IntegrityError, match="more core titles at once"):
        written(lambda: Listing.objects.filter(pk=rows[1].pk).update(offered_until=days(60)))


def test_database_counts_modules_apart(programme: Programme) -> None:
    for number in range(2):
        offer_course(programme, make_course(f"Title {number}"))
    module = offer_course(programme, make_course("Module"), role=Role.MODULE)
    written()
    with pytest.raises(IntegrityError, match="more core titles at once"):
        written(lambda: Listing.objects.filter(pk=module.pk).update(role=Role.CORE))


def test_database_refuses_fewer_core_titles_than_are_planned(programme: Programme) -> None:
    offer_course(programme, make_course("Gone"), offered_until=days(-1))
    for number, since in enumerate((-100, 50)):
        offer_course(programme, make_course(f"Title {number}"), offered_from=days(since))
    written()
    assert rotation.fewest_core_titles(programme.pk, now=NOW) == 2
    with pytest.raises(IntegrityError, match="more core titles are planned"):
        written(lambda: Programme.objects.update(core_titles=1))
    Listing.objects.filter(offered_from=days(50)).delete()
    written(lambda: Programme.objects.update(core_titles=1))


def test_database_refuses_a_second_module_in_a_month(programme: Programme, spanish: Course, french: Course) -> None:
    offer_course(programme, spanish, role=Role.MODULE, offered_from=date(2030, 2, 1), offered_until=date(2030, 2, 8))
    with pytest.raises(IntegrityError, match="listing_one_module_a_month"), transaction.atomic():
        offer_course(programme, french, role=Role.MODULE, offered_from=date(2030, 2, 28))
    offer_course(programme, french, role=Role.MODULE, offered_from=date(2031, 2, 28))


def test_database_refuses_a_course_twice_at_once(programme: Programme, spanish: Course) -> None:
    offer_course(programme, spanish, offered_until=days(5))
    with pytest.raises(IntegrityError, match="listing_course_once_at_a_time"), transaction.atomic():
        offer_course(programme, spanish, offered_from=days(4))
    offer_course(programme, spanish, offered_from=days(5))


@pytest.mark.parametrize(("since", "until"), [(-100, None), (-100, -1), (0, None)])
def test_database_keeps_what_has_begun(programme: Programme, since: int, until: int | None) -> None:
    last = None if until is None else days(until)
    row = offer_course(programme, make_course(), offered_from=days(since), offered_until=last)
    for delete in (row.delete, Listing.objects.all().delete):
        with pytest.raises(IntegrityError, match="it can end, and stays"), transaction.atomic():
            delete()
    assert Listing.objects.get() == row


def test_database_lets_go_of_what_is_to_come(programme: Programme) -> None:
    row = offer_course(programme, make_course(), offered_from=days(1))
    assert row.delete()[0] == 1
