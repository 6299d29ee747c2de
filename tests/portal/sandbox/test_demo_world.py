"""The demo's data must be what the rules could have made: counts, letters, accounts and the platform agree."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.conf import LazySettings
from django.core.management import call_command
from django.db import transaction
from django.db.models import Count, F, Min, OuterRef, Q, QuerySet, Subquery
from pytest_django import DjangoDbBlocker

from catalog.models import Course, Listing, Tool
from enrollment import finishing
from enrollment.models import CapChange, CourseRun, Enrollment, Event, Letter, ProviderAccount, SeatPool, Share
from enrollment.reports.audit import audit
from enrollment.reports.offer import on_offer
from libraries import membership, scoping
from libraries.cards.checks import Outcome, Question
from libraries.models import Card, Institution, Library, LibrarySystem, User
from portal.sandbox import demo_catalog, demo_world
from portal.sandbox.accounts import DEMO_ACCOUNTS, DEMO_CARDS
from portal.sandbox.course_tool_facts import CLIENT_ID, DEEP_LINKING, DEPLOYMENT_ID, KEYSET, LAUNCH, LOGIN
from portal.sandbox.library_cards import TO_TRY, Condition, cards_of
from tests.platform_server import RunningPlatform, running_platform

TODAY = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def world(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningPlatform]:
    """Made once, with a running platform; taken back when the module's tests are done."""
    with (
        running_platform(tmp_path_factory.mktemp("platform") / "accounts.jsonl") as platform,
        pytest.MonkeyPatch.context() as patch,
        django_db_blocker.unblock(),
    ):
        patch.setattr("django.conf.settings.SANDBOX_PLATFORM_URL", platform.server.address)
        patch.setenv("SANDBOX_PLATFORM_TOKEN", platform.token)
        with transaction.atomic():
            assert demo_world.load(now=TODAY)
            yield platform
            transaction.set_rollback(True)


@pytest.fixture
def pool(world: RunningPlatform, db: None) -> SeatPool:
    return SeatPool.objects.select_related("programme").get()


def test_counts_of_pool_and_shares_are_those_of_the_seats(pool: SeatPool) -> None:
    assert (pool.cap, pool.planned_cap, pool.taken, pool.floors) == (2000, None, 1412, 140)
    assert Enrollment.objects.holding_seats().count() == 1412
    counted = Share.objects.annotate(
        seats=Count("enrollments", filter=Q(enrollments__state__in=Enrollment.WITH_SEAT))
    ).values_list("taken", "seats")
    assert len(counted) == 9
    assert all(taken == seats for taken, seats in counted)
    assert all(taken > 0 for taken, _ in counted)
    assert Counter(Enrollment.objects.values_list("state", flat=True)) == {
        "seated": 1352, "held": 60, "waiting": 2, "ended": 65,
    }  # fmt: skip
    assert not Enrollment.objects.in_line().exists()


def test_cap_was_never_passed(pool: SeatPool) -> None:
    change = CapChange.objects.get()
    assert (change.old_cap, change.new_cap) == (1000, 2000)
    rows = Enrollment.objects.filter(seated_at__isnull=False)
    before = rows.filter(seated_at__lt=change.effective_at)
    assert 950 < before.count() <= 1000
    assert not rows.filter(ended_at__lt=change.effective_at).exists()


def test_nothing_is_owed(pool: SeatPool) -> None:
    assert Letter.objects.owed().count() == 0
    assert ProviderAccount.objects.owed().count() == 0


def test_platform_has_an_account_for_everybody_with_a_place(world: RunningPlatform, pool: SeatPool) -> None:
    there = {each["external_id"]: (each["id"], each["active"]) for each in world.accounts()}
    rows = ProviderAccount.objects.filter(must_be_active=True, seen="active").values_list("external_id", "remote_id")
    assert there == {str(external): (remote, True) for external, remote in rows}
    assert len(there) == 1352
    assert Letter.objects.filter(kind="account_ready", enrollment__state="seated").count() == 1352


def test_history_of_each_is_in_order_and_ends_where_it_stands(pool: SeatPool) -> None:
    learned = {Event.Kind.COURSE_STARTED, Event.Kind.COURSE_FINISHED}
    last = {
        "seated": {Event.Kind.ACCOUNT_OPENED, *learned},
        "held": {Event.Kind.SEAT_HELD},
        "waiting": {Event.Kind.QUEUED},
        "ended": {Event.Kind.ACCOUNT_CLOSED, Event.Kind.SEAT_ENDED},
    }
    states = dict(Enrollment.objects.values_list("pk", "state"))
    latest: dict[int, str] = {}
    first: dict[int, str] = {}
    for pk, kind in Event.objects.exclude(enrollment_id=None).order_by("at", "id").values_list("enrollment_id", "kind"):
        assert pk is not None
        first.setdefault(pk, kind)
        latest[pk] = kind
    assert set(first.values()) == {Event.Kind.APPLIED}
    assert latest.keys() == states.keys()
    assert all(latest[pk] in last[state] for pk, state in states.items())


def test_every_rule_of_the_seats_holds(pool: SeatPool) -> None:
    assert [finding.check.name for finding in audit(now=TODAY) if not finding.holds] == []


def test_nothing_happened_in_the_future(pool: SeatPool) -> None:
    assert not Event.objects.filter(at__gt=TODAY).exists()
    assert not Letter.objects.filter(sent_at__gt=TODAY).exists()
    assert not Card.objects.filter(Q(decided_at__gt=TODAY) | Q(claimed_at__gt=TODAY)).exists()
    assert not Enrollment.objects.filter(hold_until__lte=TODAY).exists()
    assert not Enrollment.objects.filter(seated_at__lt=F("card__decided_at")).exists()


def test_thirty_titles_and_this_months_module_are_on_offer(pool: SeatPool) -> None:
    offers = on_offer(TODAY.date())
    assert Counter(offer.is_module for offer in offers) == {False: 30, True: 1}
    assert [offer.course.code for offer in offers if offer.is_module] == ["ST-9005"]
    assert {offer.course.code for offer in offers if offer.leaves_soon and not offer.is_module} == {
        "ST-1005",
        "ST-6001",
    }
    assert not Course.objects.filter(listings=None).exists()
    assert (Institution.objects.count(), Library.objects.count()) == (9, 27)


def test_next_rotation_is_planned_and_keeps_the_number_of_titles(pool: SeatPool) -> None:
    coming = Listing.objects.filter(offered_from__gt=TODAY.date(), role="core")
    [day] = set(coming.values_list("offered_from", flat=True))
    assert (day.isoformat(), coming.count()) == ("2027-01-01", 6)
    assert Listing.objects.filter(offered_until=day, role="core").count() == 4
    assert Listing.objects.on_offer(day).filter(role="core").count() == pool.programme.core_titles == 30


def test_every_course_is_described_in_three_languages(pool: SeatPool) -> None:
    told = list(Course.objects.values_list("description_nl", "description_fr", "description_en"))
    assert len(told) == 42
    assert len({text for texts in told for text in texts}) == 3 * 42
    for nl, fr, en in told:
        assert min(len(nl), len(fr), len(en)) > 60
        assert not re.search(r"(?<!\u00a0)[:;?!»]|«(?!\u00a0)", fr)


def test_module_of_the_month_comes_round_in_an_old_demo(pool: SeatPool) -> None:
    later = datetime(2027, 3, 9).date()
    demo_catalog.keep_a_module_on_offer(later)
    demo_catalog.keep_a_module_on_offer(later)
    listing = Listing.objects.on_offer(later).get(role="module")
    assert (listing.course.code, listing.offered_from.isoformat()) == ("ST-9001", "2027-03-01")


# --- What people do with their places ---


def test_some_have_saved_some_started_and_some_finished_a_course(pool: SeatPool) -> None:
    runs = CourseRun.objects.all()
    assert 900 < runs.started().count() < 1600
    assert 250 < runs.finished().count() < 600
    assert 50 < runs.filter(started_at=None, saved_at__isnull=False).count() < 150
    under_way = runs.filter(activity="InProgress")
    assert not under_way.exclude(progress__gte=0.25, progress__lte=0.8).exists()
    assert under_way.count() > 300
    assert runs.values("course").distinct().count() == 30


def test_courses_were_started_with_an_open_account_and_in_order(pool: SeatPool) -> None:
    runs = CourseRun.objects.started()
    opened = Event.objects.filter(kind="account_opened", enrollment_id=OuterRef("enrollment_id")).values("at")
    assert not runs.alias(opened=Subquery(opened)).exclude(started_at__gt=F("opened")).exists()
    assert not runs.exclude(enrollment__user=F("user"), enrollment__state="seated").exists()
    assert not runs.filter(Q(last_started_at__lt=F("started_at")) | Q(shown="")).exists()
    for name in ("last_started_at", "told_at", "completed_at"):
        assert not runs.filter(Q(**{f"{name}__gt": TODAY}) | Q(**{f"{name}__lt": F("started_at")})).exists()
    assert not runs.alias(first=Min("enrollment__course_runs__started_at")).exclude(enrollment__used_at=F("first"))


def test_events_and_letters_tell_of_every_course(pool: SeatPool) -> None:
    runs = CourseRun.objects.all()
    for kind, told in (("course_started", runs.started()), ("course_finished", runs.finished())):
        events = Event.objects.filter(kind=kind).values_list("enrollment_id", "new_value")
        assert sorted(events) == sorted(told.values_list("enrollment_id", "course_id"))
    assert Event.objects.filter(kind="started").count() == Enrollment.objects.exclude(used_at=None).count()
    letters = Letter.objects.filter(kind="course_finished", sent_at=F("course_run__completed_at"))
    wished = runs.finished().filter(user__wants_course_letters=True)
    assert set(letters.values_list("course_run", flat=True)) == set(wished.values_list("pk", flat=True))
    assert 80 < wished.count() < runs.finished().count()
    codes = set(runs.finished().values_list("certificate_code", flat=True))
    assert codes == {finishing.code_in(code or "") for code in codes}


def test_courses_are_started_at_the_platform(world: RunningPlatform, pool: SeatPool) -> None:
    tool = pool.programme.provider.tool
    assert (tool.client_id, tool.deployment_id, tool.is_on) == (CLIENT_ID, DEPLOYMENT_ID, True)
    address = world.server.address
    assert tool.redirect_uris == [f"{address}{LAUNCH}", f"{address}{DEEP_LINKING}"]
    assert {tool.login_url, tool.launch_url, tool.deep_linking_url, tool.keyset_url} == {
        f"{address}{path}" for path in (LOGIN, LAUNCH, DEEP_LINKING, KEYSET)
    }
    assert all(custom == {"course": code} for code, custom in Course.objects.values_list("code", "launch_custom"))


def test_demo_of_an_earlier_version_gets_its_courses(pool: SeatPool) -> None:
    """Nobody had started one, nobody had described one, and there was no tool."""
    before = {(run.user.email, run.course.code, run.progress) for run in runs_of_all()}
    Letter.objects.exclude(course_run=None).delete()
    CourseRun.objects.all().delete()
    Enrollment.objects.update(used_at=None)
    Tool.objects.all().delete()
    Course.objects.update(description_nl="", description_fr="", description_en="", launch_custom={})
    Course.objects.filter(code="ST-1001").update(description_nl="Van Mo")
    assert not demo_world.load(now=TODAY)
    assert Tool.objects.get().client_id == CLIENT_ID
    assert {(run.user.email, run.course.code, run.progress) for run in runs_of_all()} == before
    assert Course.objects.get(code="ST-1001").description_en == ""
    assert Course.objects.filter(description_en="").count() == 1
    count = CourseRun.objects.count()
    demo_world.load(now=TODAY + timedelta(days=1))
    assert (CourseRun.objects.count(), Tool.objects.count()) == (count, 1)


def runs_of_all() -> QuerySet[CourseRun]:
    return CourseRun.objects.select_related("user", "course")


def test_staff_can_sign_in_and_do_their_work(pool: SeatPool) -> None:
    for account in DEMO_ACCOUNTS:
        user = User.objects.get(email=account.email)
        assert user.check_password(account.password)
        assert user.is_staff
        assert scoping.roles_of(user) == {account.role}
        assert EmailAddress.objects.filter(user=user, verified=True, primary=True).count() == 1
        assert Authenticator.objects.get(user=user).wrap().validate_code("000000") is False
    assert [user.email for user in User.objects.filter(is_superuser=True)] == ["ops@leerkaart.test"]


def test_demo_cards_do_what_they_say(pool: SeatPool) -> None:
    antwerp = Institution.objects.get(slug="antwerpen")
    for card in DEMO_CARDS:
        question = Question(number=card.number, second_fact=card.born, last_name="Peeters", on=TODAY.date())
        answer = membership.ask(antwerp, question)
        wanted = Outcome.BY_HAND if not card.born else Outcome.CONFIRMED if card.valid else Outcome.EXPIRED
        assert answer.outcome == wanted


def test_library_system_of_kortrijk_knows_its_members_and_can_be_asked(pool: SeatPool) -> None:
    kortrijk = Institution.objects.get(slug="kortrijk")
    numbers = set(Card.objects.filter(institution=kortrijk).values_list("number", flat=True))
    good = [card.number for card in cards_of(Condition.GOOD)]
    assert len(numbers) > 100
    assert numbers <= set(good[TO_TRY:])
    assert set(Card.objects.filter(institution=kortrijk).values_list("state", "decided_how")) == {("confirmed", "sip2")}
    facts = membership.facts_of(kortrijk)
    assert facts is not None
    assert (facts.address, facts.port, facts.tls, facts.login) == ("127.0.0.1", 9, False, "leerkaart")
    assert (facts.asks_pin, facts.asks_expiry, facts.missing_secrets, facts.private) == (True, True, False, True)


def test_every_librarian_has_cards_to_look_at(pool: SeatPool) -> None:
    waiting = Card.objects.filter(state__in=["claimed", "disputed"], institution__slug__in=["antwerpen", "muntpunt"])
    counts = Counter(waiting.values_list("institution__slug", "state"))
    assert counts["antwerpen", "disputed"] == counts["muntpunt", "disputed"] == 1
    assert min(counts["antwerpen", "claimed"], counts["muntpunt", "claimed"]) >= 5


def test_second_start_keeps_everything_and_is_quick(world: RunningPlatform, pool: SeatPool) -> None:
    before = (User.objects.count(), Event.objects.count(), Letter.objects.count(), Listing.objects.count())
    began = time.perf_counter()
    assert not demo_world.load(now=TODAY + timedelta(hours=3))
    assert time.perf_counter() - began < 1
    assert (User.objects.count(), Event.objects.count(), Letter.objects.count(), Listing.objects.count()) == before
    assert world.calls()["by_method"] == {"POST": 1352}


def test_platform_and_library_system_are_found_where_they_are_now(pool: SeatPool, settings: LazySettings) -> None:
    settings.SANDBOX_PLATFORM_URL, settings.SANDBOX_LIBRARY_PORT = "http://127.0.0.1:8", 7
    demo_world.load(now=TODAY)
    assert LibrarySystem.objects.get().port == 7
    pool.programme.provider.refresh_from_db()
    provider = pool.programme.provider
    assert (provider.base_url, provider.start_url) == ("http://127.0.0.1:8/v2", "http://127.0.0.1:8")
    assert Tool.objects.get().redirect_uris == [f"http://127.0.0.1:8{LAUNCH}", f"http://127.0.0.1:8{DEEP_LINKING}"]


def test_load_demo_shows_accounts_and_cards(world: RunningPlatform, db: None) -> None:
    out = StringIO()
    call_command("load_demo", "--accounts", stdout=out)
    lines = out.getvalue().splitlines()
    assert lines[0] == "The demo's data is there already."
    assert len(lines) == 1 + len(DEMO_ACCOUNTS) + len(DEMO_CARDS)
