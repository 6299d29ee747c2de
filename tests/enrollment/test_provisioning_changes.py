"""What a provider was told of a person is kept, and told anew when it is no longer so, whoever changed it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest
from pytest_django import DjangoAssertNumQueries

from catalog.models import Area, Course, Listing, Programme, Provider, ProviderLine
from catalog.provider import registry
from catalog.provider.client import Access, Account, Person
from catalog.provider.errors import Refused
from enrollment import agreeing, ending
from enrollment.models import CourseRun, Enrollment, Event, ProviderAccount
from enrollment.outcomes import ERASED_WITHIN, LOOK_AGAIN, NOT_ERASED_YET
from libraries.models import Institution, User
from tests.accounts import ADA, BO, account_of, kinds_of, ready_letters, seated, settle, settle_all
from tests.factories import NOW, make_programme, make_user
from tests.platform_server import RunningPlatform

pytestmark = pytest.mark.django_db
Seen = ProviderAccount.Seen


@pytest.fixture
def three(platform: RunningPlatform, halle: Institution) -> list[Enrollment]:
    programme = make_programme()
    people = [(ADA, "21000001"), (BO, "21000002"), ("cy@example.test", "21000003")]
    found = [seated(email, programme, halle, number) for email, number in people]
    settle_all()
    return found


def change(enrollment: Enrollment, **values: object) -> None:
    User.objects.filter(pk=enrollment.user_id).update(**values)


def test_nobody_is_owed_while_nothing_changes(three: list[Enrollment]) -> None:
    assert agreeing.owe_changes(now=NOW) == 0
    assert not settle()


@pytest.mark.parametrize(
    ("field", "value", "there"),
    [
        ("email", "new@example.test", ("new@example.test", "Ada Peeters", "nl-BE")),
        ("first_name", "Adelheid", (BO, "Adelheid Peeters", "nl-BE")),
        ("last_name", "Maes", (BO, "Ada Maes", "nl-BE")),
        ("language", "fr", (BO, "Ada Peeters", "fr-BE")),
    ],
)
def test_change_of_a_person_reaches_the_provider(
    platform: RunningPlatform,
    three: list[Enrollment],
    field: str,
    value: str,
    there: tuple[str, str, str],
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    ada, bo, cy = three
    change(bo, **{field: value})
    later = NOW + timedelta(minutes=1)
    with django_assert_num_queries(1):
        assert agreeing.owe_changes(now=later) == 1
    assert [account_of(each).due_at for each in three] == [None, later, None]
    assert account_of(bo).turn_at == later
    settle_all(later)
    external_id = str(account_of(bo).external_id)
    [seen] = [each for each in platform.accounts() if each["external_id"] == external_id]
    assert (seen["email"], seen["name"], seen["language"]) == there
    assert agreeing.owe_changes(now=later) == 0
    assert (kinds_of(bo), ready_letters()) == (["account_opened"], [ada.pk, bo.pk, cy.pk])


def test_changes_of_three_are_owed_in_one_statement(
    three: list[Enrollment], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    User.objects.filter(pk__in=[each.user_id for each in three]).update(language="en")
    with django_assert_num_queries(1):
        assert agreeing.owe_changes(now=NOW) == 3


def test_mass_change_comes_in_parts_so_that_new_members_need_not_wait(three: list[Enrollment]) -> None:
    User.objects.filter(pk__in=[each.user_id for each in three]).update(language="en")
    ProviderAccount.objects.exclude(user_id=three[0].user_id).update(told="")
    part = agreeing._SECONDS_FOR_CHANGES
    more = [make_user(f"more{number}@example.test") for number in range(part)]
    settled = {"must_be_active": True, "seen": Seen.ACTIVE, "seen_at": NOW}
    provider = Provider.objects.get()
    ProviderAccount.objects.bulk_create(ProviderAccount(user=user, provider=provider, **settled) for user in more)
    Provider.objects.update(calls_per_second=1)
    assert agreeing.owe_changes(now=NOW) == part
    assert agreeing.owe_changes(now=NOW) == 3
    assert agreeing.owe_changes(now=NOW) == 0


def test_change_waits_while_the_provider_is_down(three: list[Enrollment]) -> None:
    change(three[0], language="en")
    ProviderLine.objects.update(down_since=NOW, next_probe_at=NOW)
    assert agreeing.owe_changes(now=NOW) == 0
    ProviderLine.objects.update(down_since=None)
    assert agreeing.owe_changes(now=NOW) == 1


def test_what_was_told_in_another_way_can_be_noted(three: list[Enrollment]) -> None:
    User.objects.update(language="en")
    agreeing.note_told([account_of(three[0]).pk], now=NOW)
    assert agreeing.owe_changes(now=NOW) == 2


def test_change_made_while_the_provider_is_told_is_found_afterwards(
    three: list[Enrollment], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was told is what was read before the calls began."""
    ada = three[0]
    ProviderAccount.objects.filter(user_id=ada.user_id).update(**ProviderAccount.debt(NOW))
    real = agreeing.agree

    def agree(*args: object) -> object:
        change(ada, first_name="Adelheid")
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(agreeing, "agree", agree)
    settle_all()
    monkeypatch.undo()
    assert agreeing.owe_changes(now=NOW) == 1


def test_account_that_is_to_be_closed_is_told_nothing(three: list[Enrollment]) -> None:
    ada = three[0]
    ending.give_back(enrollment_id=ada.pk, by=ada.user, now=NOW)
    settle_all()
    change(ada, first_name="Adelheid")
    assert agreeing.owe_changes(now=NOW) == 0


# --- A provider that is told each course, and shows little ---


class Taciturn:
    """Keeps accounts by our id, and shows no names."""

    wants_access = True

    def __init__(self) -> None:
        self.kept: dict[str, Account] = {}
        self.access: list[Access] = []
        self.calls: list[str] = []
        self.erases = True

    def find(self, external_id: str) -> Account | None:
        self.calls.append("find")
        return self.kept.get(external_id)

    def create(self, person: Person) -> Account:
        self.calls.append("create")
        return self._keep(Account("7", person.external_id, person.email, None, None, None, active=True))

    def open(self, account: Account, person: Person) -> Account:
        self.calls.append("open")
        return self._keep(replace(account, email=person.email, active=True))

    def close(self, account: Account) -> Account:
        self.calls.append("close")
        return self._keep(replace(account, active=False))

    def erase(self, account: Account) -> None:
        self.calls.append("erase")
        if self.erases:
            self.kept.pop(account.external_id or "")

    def give_access(self, account: Account, access: Access) -> None:
        self.access.append(access)

    def _keep(self, account: Account) -> Account:
        self.kept[account.external_id or ""] = account
        return account


@pytest.fixture
def taciturn(monkeypatch: pytest.MonkeyPatch, three: list[Enrollment]) -> Taciturn:
    client = Taciturn()
    speaks = type("Client", (), {"wants_access": True, "__new__": lambda cls, *args: client})
    monkeypatch.setitem(registry.CLIENTS, "moodle", speaks)
    Provider.objects.update(kind=Provider.Kind.MOODLE)
    ProviderAccount.objects.exclude(user_id=three[0].user_id).update(must_be_active=False, due_at=None)
    ProviderAccount.objects.update(first_claimed_at=None, seen="unknown", seen_at=None, remote_id="", told="")
    ProviderAccount.objects.filter(user_id=three[0].user_id).update(**ProviderAccount.debt(NOW))
    return client


def list_course(programme: Programme, code: str, *, until: date | None = None) -> None:
    area, _ = Area.objects.get_or_create(slug="taal", defaults={"name_nl": "Taal", "name_fr": "L", "name_en": "L"})
    course = Course.objects.create(
        provider=programme.provider, code=code, slug=code, area=area, title=code, language="nl", level="A1", hours=1
    )
    Listing.objects.create(programme=programme, course=course, offered_from=date(2026, 1, 1), offered_until=until)


def test_access_is_to_the_courses_of_today_until_the_place_ends(taciturn: Taciturn, three: list[Enrollment]) -> None:
    ada = three[0]
    list_course(ada.pool.programme, "c-b")
    list_course(ada.pool.programme, "c-a")
    list_course(ada.pool.programme, "c-gone", until=date(2026, 7, 1))
    settle_all()
    ada.refresh_from_db()
    assert ada.ends_at is not None
    assert taciturn.access == [Access(["c-a", "c-b"], ada.ends_at)]
    assert (taciturn.calls, account_of(ada).is_ready) == (["create"], True)


def test_what_a_provider_does_not_show_is_told_again_only_when_it_changed(
    taciturn: Taciturn, three: list[Enrollment]
) -> None:
    ada = three[0]
    settle_all()
    ProviderAccount.objects.filter(user_id=ada.user_id).update(**ProviderAccount.debt(NOW))
    settle_all()
    assert taciturn.calls == ["create", "find"]
    change(ada, first_name="Adelheid")
    assert agreeing.owe_changes(now=NOW) == 1
    settle_all()
    assert taciturn.calls == ["create", "find", "find", "open"]


def test_new_course_and_longer_place_are_changes(taciturn: Taciturn, three: list[Enrollment]) -> None:
    ada = three[0]
    settle_all()
    list_course(ada.pool.programme, "c-new")
    assert agreeing.owe_changes(now=NOW) == 1
    settle_all()
    until = NOW + timedelta(days=900)
    Enrollment.objects.filter(pk=ada.pk).update(ends_at=until)
    assert agreeing.owe_changes(now=NOW) == 1
    settle_all()
    assert taciturn.access[-1] == Access(["c-new"], until)
    assert agreeing.owe_changes(now=NOW) == 0


def test_course_that_ends_is_a_change_on_that_day(taciturn: Taciturn, three: list[Enrollment]) -> None:
    list_course(three[0].pool.programme, "c-a", until=date(2026, 7, 10))
    settle_all()
    assert agreeing.owe_changes(now=datetime(2026, 7, 9, 12, tzinfo=NOW.tzinfo)) == 0
    assert agreeing.owe_changes(now=datetime(2026, 7, 10, 12, tzinfo=NOW.tzinfo)) == 1


def start_course(enrollment: Enrollment, code: str) -> None:
    course = Course.objects.get(code=code)
    told = {"enrollment": enrollment, "started_at": NOW, "last_started_at": NOW}
    CourseRun.objects.create(user=enrollment.user, course=course, **told)


def test_course_that_was_started_is_kept_as_long_as_the_programme_says(
    taciturn: Taciturn, three: list[Enrollment]
) -> None:
    ada, programme = three[0], three[0].pool.programme
    for code in ("c-begun", "c-saved"):
        list_course(programme, code, until=date(2026, 6, 20))
    list_course(programme, "c-on")
    start_course(ada, "c-begun")
    told = {}
    for kept_days in (None, 5, 60):
        Programme.objects.update(kept_days=kept_days)
        task = agreeing.read(account_of(ada), now=NOW)
        told[kept_days] = task.access and list(task.access.courses)
    assert told == {None: ["c-begun", "c-on"], 5: ["c-on"], 60: ["c-begun", "c-on"]}
    settle_all()
    assert agreeing.owe_changes(now=NOW) == 0
    assert agreeing.owe_changes(now=NOW + timedelta(days=60)) == 1


# --- Erasing ---


def owe_erasure(enrollment: Enrollment, now: datetime = NOW) -> None:
    mine = ProviderAccount.objects.filter(user_id=enrollment.user_id)
    mine.update(must_be_active=False, must_be_erased=True, **ProviderAccount.debt(now))


def test_erasing_is_confirmed_by_a_last_look(platform: RunningPlatform, three: list[Enrollment]) -> None:
    owe_erasure(three[0])
    settle_all()
    account = account_of(three[0])
    assert (account.seen, account.erased_at, account.remote_id, account.told) == (Seen.ABSENT, NOW, "", "")
    assert (account.due_at, len(platform.accounts())) == (None, 2)
    assert kinds_of(three[0]) == ["account_opened", "account_erased"]
    owe_erasure(three[0])
    settle_all()
    assert kinds_of(three[0]) == ["account_opened", "account_erased"]


def test_erasing_what_was_never_claimed_looks_all_the_same(taciturn: Taciturn, three: list[Enrollment]) -> None:
    """After a restore from a backup the row may not know what was made: the certificate rests on a look."""
    owe_erasure(three[0])
    settle_all()
    assert (taciturn.calls, account_of(three[0]).erased_at) == (["find"], NOW)


def test_provider_that_takes_days_is_asked_by_the_hour_and_not_stuck_for_a_week(
    taciturn: Taciturn, three: list[Enrollment]
) -> None:
    ada, now = three[0], NOW
    settle_all()
    taciturn.erases = False
    owe_erasure(ada)
    while now < NOW + ERASED_WITHIN:
        assert settle(now)
        account = account_of(ada)
        assert (account.due_at, account.stuck_at) == (now + LOOK_AGAIN, None)
        assert (account.trouble, account.seen, account.erased_at) == (NOT_ERASED_YET, Seen.ACTIVE, None)
        now += LOOK_AGAIN
    assert settle(now)
    account = account_of(ada)
    assert (account.stuck_at, account.trouble, account.erased_at) == (now, NOT_ERASED_YET, None)


def test_provider_that_took_a_day_is_believed_when_it_is_gone(taciturn: Taciturn, three: list[Enrollment]) -> None:
    settle_all()
    taciturn.erases = False
    owe_erasure(three[0])
    settle_all()
    taciturn.kept.clear()
    settle_all(NOW + LOOK_AGAIN)
    account = account_of(three[0])
    assert (account.erased_at, account.trouble, account.due_at) == (NOW + LOOK_AGAIN, "", None)
    assert Event.objects.filter(kind=Event.Kind.ACCOUNT_ERASED).count() == 1


# --- Two of ours with one id of theirs ---


def test_provider_that_gives_two_accounts_one_id_makes_the_second_stuck(
    taciturn: Taciturn, three: list[Enrollment]
) -> None:
    settle_all()
    bo = ProviderAccount.objects.filter(user_id=three[1].user_id)
    bo.update(must_be_active=True, **ProviderAccount.debt(NOW))
    settle_all()
    assert (account_of(three[1]).trouble, account_of(three[1]).stuck_at) == ("same_id", NOW)
    assert account_of(three[0]).is_ready


def test_answer_of_the_provider_is_kept_until_it_agrees(
    taciturn: Taciturn, three: list[Enrollment], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(person: Person) -> Account:
        error = Refused("bad_request", "no")
        error.answer = "400: no such department"
        raise error

    monkeypatch.setattr(taciturn, "create", refuse)
    settle_all()
    assert (account_of(three[0]).answer, account_of(three[0]).stuck_at) == ("400: no such department", NOW)
    monkeypatch.undo()
