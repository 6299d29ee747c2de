"""Library systems in the workplace: who sees and changes them, what is refused, the test, and one card asked about."""

from __future__ import annotations

import logging
from datetime import date
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.urls import reverse

from enrollment import system_checks
from enrollment.models import Event
from libraries.cards.checks import Answer, Outcome, Question, Step, StepName, Trouble, Walk
from libraries.models import Institution, LibrarySystem
from tests.card_systems import PIN, AnsweringSystem, answer_in_place_of
from tests.enrollment.views.visiting import words_of
from tests.factories import NOW, make_coordinator, make_institution, make_librarian, make_staff, make_system
from tests.workplace import sign_in

pytestmark = pytest.mark.django_db
LIST = "/en/admin/libraries/librarysystem/"
VALUE = "s3cr3t-v4lue"
NUMBER = "21990001"


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> LibrarySystem:
    monkeypatch.setenv("ANTWERP_SIP", VALUE)
    return make_system(login="portal", secret_name="ANTWERP_SIP")


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> AnsweringSystem:
    return answer_in_place_of("sip2", monkeypatch)


@pytest.fixture
def lin(system: LibrarySystem) -> Client:
    return sign_in(make_librarian(system.institution))


def page_of(system: LibrarySystem) -> str:
    return f"{LIST}{system.pk}/change/"


def trial_of(system: LibrarySystem) -> str:
    return f"{LIST}{system.pk}/test/"


def filled_in(**fields: Any) -> dict[str, Any]:
    told = {
        "address": "sip.library.example",
        "port": "6001",
        "tls": "on",
        "encoding": "cp850",
        "checksums": "on",
        "asks_pin": "on",
        "when_down": "member",
        "timeout_seconds": "3",
        "most_connections": "4",
        "recheck_days": "30",
        "checks_per_minute": "60",
        "_continue": "1",
        **fields,
    }
    return {name: value for name, value in told.items() if value is not None}


def errors_of(answer: Any) -> dict[str, list[str]]:
    return {name: list(words) for name, words in answer.context["adminform"].form.errors.items()}


# --- The settings ---


def test_operator_adds_a_system_and_it_is_on_record(ops: Client) -> None:
    institution = make_institution()
    ops.post(f"{LIST}add/", filled_in(institution=institution.pk))
    system = LibrarySystem.objects.get()
    assert (system.institution, system.address, system.tls) == (institution, "sip.library.example", True)
    assert list(Event.objects.values_list("kind", "institution_id")) == [("system_changed", institution.pk)]
    assert LogEntry.objects.count() == 1


def test_operator_changes_what_was_changed_and_nothing_else(ops: Client, system: LibrarySystem) -> None:
    ops.get(page_of(system))
    LibrarySystem.objects.update(recheck_at=NOW)
    ops.post(page_of(system), filled_in(timeout_seconds="5", login="portal", secret_name="ANTWERP_SIP"))
    system.refresh_from_db()
    assert (system.timeout_seconds, system.recheck_at) == (5, NOW)
    assert Event.objects.get().kind == Event.Kind.SYSTEM_CHANGED


def test_system_with_other_settings_is_not_silent_until_it_was_asked(ops: Client, system: LibrarySystem) -> None:
    LibrarySystem.objects.update(unanswered_since=NOW)
    ops.post(page_of(system), filled_in(timeout_seconds="5", login="portal", secret_name="ANTWERP_SIP"))
    system.refresh_from_db()
    assert system.unanswered_since is None


@pytest.mark.parametrize(("trouble", "silent"), [(Trouble.TIMED_OUT, True), (None, False)])
def test_system_is_not_silent_any_more_once_a_test_went_well(
    ops: Client, system: LibrarySystem, answers: AnsweringSystem, trouble: Trouble | None, silent: bool
) -> None:
    LibrarySystem.objects.update(unanswered_since=NOW)
    answers.otherwise = Answer(Outcome.NO_ANSWER, trouble=trouble)
    ops.post(trial_of(system), {"number": "", "pin": ""})
    system.refresh_from_db()
    assert (system.unanswered_since == NOW) == silent


def test_system_stays_with_its_institution_and_is_not_deleted(ops: Client, system: LibrarySystem) -> None:
    halle = make_institution("halle")
    ops.post(page_of(system), filled_in(institution=halle.pk))
    system.refresh_from_db()
    assert system.institution.slug == "antwerpen"
    assert ops.post(f"{LIST}{system.pk}/delete/", {"post": "yes"}).status_code == 403
    assert LibrarySystem.objects.count() == 1


def test_saving_itself_asks_who_does_it(system: LibrarySystem) -> None:
    for someone in (make_librarian(system.institution), make_coordinator()):
        with pytest.raises(system_checks.Refused):
            system_checks.save(system, by=someone, now=NOW)
    assert Event.objects.count() == 0


@pytest.mark.parametrize("role", ["librarian", "coordinator", "auditor"])
def test_others_see_the_settings_and_cannot_change_them(system: LibrarySystem, role: str) -> None:
    institution = system.institution if role == "librarian" else None
    client = sign_in(make_staff("x@example.test", role, institution))
    page = client.get(page_of(system))
    assert "127.0.0.1" in words_of(page)
    assert not page.context["adminform"].form.fields
    assert client.get(f"{LIST}add/").status_code == 403
    assert client.post(page_of(system), filled_in(address="evil.example")).status_code == 403
    system.refresh_from_db()
    assert system.address == "127.0.0.1"


def test_system_of_another_institution_is_as_if_it_were_not_there(lin: Client) -> None:
    foreign = make_system(make_institution("halle"), address="kanarie.example")
    assert "kanarie.example" not in words_of(lin.get(LIST))
    assert lin.get(page_of(foreign)).headers["Location"] == "/en/admin/"
    for method in (lin.get, lin.post):
        assert method(trial_of(foreign)).status_code == 404
    assert Event.objects.count() == 0


def test_secret_is_there_or_missing_and_never_shown(
    ops: Client, lin: Client, system: LibrarySystem, answers: AnsweringSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    for client in (ops, lin):
        pages = [client.get(LIST), client.get(page_of(system)), client.post(trial_of(system))]
        assert ["ANTWERP_SIP: the secret is there" in words_of(page) for page in pages[:2]] == [True, True]
        assert [VALUE in page.content.decode() for page in pages] == [False] * 3
    monkeypatch.delenv("ANTWERP_SIP")
    assert "ANTWERP_SIP: the secret is missing" in words_of(ops.get(page_of(system)))


@pytest.mark.parametrize(
    ("kind", "told", "errors"),
    [
        ("sip2", {}, set()),
        ("sip2", {"address": "8.8.8.8"}, set()),
        ("sip2", {"address": "https://sip.library.example"}, {"address"}),
        ("sip2", {"address": "sip.library.example:6001"}, {"address"}),
        ("sip2", {"address": "169.254.169.254"}, {"address"}),
        ("sip2", {"address": "10.0.0.5"}, {"address"}),
        ("sip2", {"tls": None}, {"tls"}),
        ("sip2", {"port": "0"}, {"port"}),
        ("sip2", {"timeout_seconds": "10"}, {"timeout_seconds"}),
        ("sip2", {"location": "Hall|AOother"}, {"location"}),
        ("sip2", {"institution_code": "A\rB"}, {"institution_code"}),
        ("sip2", {"login": "a|COb"}, {"login"}),
        ("sip2", {"secret_name": "lower"}, {"secret_name"}),
        ("sip2", {"secret_name": "SECRET_KEY"}, {"secret_name"}),
        ("sip2", {"secret_name": "OIDC_UITID_CLIENT_SECRET"}, {"secret_name"}),
        ("sip2", {"terminal_secret_name": "DATABASE_URL"}, {"terminal_secret_name"}),
        ("koha", {"address": "https://koha.example", "login": "x", "secret_name": "KOHA"}, set()),
        ("koha", {"address": "https://koha.example", "tls": None, "login": "x", "secret_name": "KOHA"}, set()),
        ("koha", {"address": "https://koha.example"}, {"login"}),
        ("koha", {"address": "koha.example"}, {"address"}),
        ("koha", {"address": "http://koha.example"}, {"address"}),
        ("koha", {"address": "https://a:b@koha.example"}, {"address"}),
        ("koha", {"address": "https://koha.example/?a=b"}, {"address"}),
        ("koha", {"address": "https://[::1]/"}, {"address"}),
        ("by_hand", {}, set()),
        ("by_hand", {"address": "https://koha.example", "login": "x", "secret_name": "KOHA"}, set()),
        ("by_hand", {"address": "http://koha.example"}, {"address"}),
    ],
)
def test_settings_are_checked_when_they_are_saved(
    ops: Client, settings: Any, kind: str, told: dict[str, Any], errors: set[str]
) -> None:
    settings.ALLOW_PRIVATE_ADDRESSES = False
    institution = make_institution(card_check=kind)
    answer = ops.post(f"{LIST}add/", filled_in(institution=institution.pk, **told))
    assert (set(errors_of(answer)) if answer.context else set()) == errors
    assert LibrarySystem.objects.count() == (0 if errors else 1)


def test_private_addresses_without_encryption_where_the_operator_allows_them(ops: Client, settings: Any) -> None:
    settings.ALLOW_PRIVATE_ADDRESSES = True
    institution = make_institution()
    assert ops.post(f"{LIST}add/", filled_in(institution=institution.pk, address="10.0.0.5", tls=None)).context is None
    assert LibrarySystem.objects.get().tls is False


# --- The institution ---


def of_institution(institution: Institution, **fields: Any) -> dict[str, Any]:
    names = ("name", "kind", "postal_code", "city", "active_members", "languages", "color", "second_fact")
    kept = {name: getattr(institution, name) for name in (*names, "card_check", "number_patterns", "check_digit")}
    return {**kept, **fields}


def change(client: Client, institution: Institution, **fields: Any) -> dict[str, list[str]]:
    address = reverse("admin:libraries_institution_change", args=[institution.pk])
    answer = client.post(address, of_institution(institution, **fields))
    institution.refresh_from_db()
    return errors_of(answer) if answer.context else {}


def test_asking_needs_the_settings_of_a_system(ops: Client) -> None:
    institution = make_institution()
    words = "Fill in how its library system is reached first, under “Library systems”. Then choose this."
    assert change(ops, institution, card_check="sip2") == {"card_check": [words]}
    assert institution.card_check == "by_hand"
    LibrarySystem.objects.create(institution=institution, address="8.8.8.8")
    assert change(ops, institution, card_check="sip2") == {}
    assert institution.card_check == "sip2"


def test_address_has_to_be_of_the_kind_that_is_chosen(ops: Client) -> None:
    institution = make_institution()
    LibrarySystem.objects.create(institution=institution, address="https://koha.example")
    assert set(change(ops, institution, card_check="sip2")) == {"card_check"}
    assert change(ops, institution, card_check="koha") == {}


def test_patterns_are_checked_when_they_are_saved(ops: Client) -> None:
    institution = make_institution()
    assert change(ops, institution, number_patterns="21######\n[0-9]+\n2*1") == {
        "number_patterns": [
            "Line 2: use digits, letters, # and @ only, and * at the end.",
            "Line 3: the * stands once, at the end.",
        ]
    }
    assert set(change(ops, institution, number_patterns="1\n" * 21)) == {"number_patterns"}
    assert institution.number_patterns == ""
    assert change(ops, institution, number_patterns="21######\n@@*", check_digit="luhn") == {}
    assert (institution.number_patterns.split(), institution.check_digit) == (["21######", "@@*"], "luhn")


# --- The test ---


def walk_of(answers: AnsweringSystem, walk: Walk) -> list[Question | None]:
    """The system goes this way from now on; what it is asked is in the list that is given back."""
    asked: list[Question | None] = []

    def go(question: Question | None) -> Walk:
        asked.append(question)
        return walk

    answers.walk = go  # type: ignore[method-assign]
    return asked


def test_test_tells_each_step_and_who_can_mend_it(lin: Client, system: LibrarySystem, answers: AnsweringSystem) -> None:
    asked = walk_of(answers, Walk((Step(StepName.CONNECT), Step(StepName.LOGIN, Trouble.LOGIN_REFUSED))))
    words = words_of(lin.post(trial_of(system)))
    assert asked == [None]
    assert "Reaching the server works" in words
    assert "Logging in failed The login name or its secret is not accepted." in words
    assert "Who can mend it: the operator of the portal, in the settings of the library system." in words
    event = Event.objects.get()
    assert (event.kind, event.reason, event.institution_id) == ("system_tested", "login_refused", system.institution_id)
    assert event.actor_id is not None
    told = words_of(lin.get(reverse("admin:enrollment_event_changelist")))
    assert "Library system tested The login name or its secret is not accepted. lin@example.test" in told


def test_test_that_goes_well_is_on_record_too(ops: Client, system: LibrarySystem, answers: AnsweringSystem) -> None:
    assert "failed" not in words_of(ops.post(trial_of(system)))
    assert Event.objects.get().reason == "good"


def test_test_with_a_card_says_what_became_of_it(ops: Client, system: LibrarySystem, answers: AnsweringSystem) -> None:
    answer = Answer(Outcome.CONFIRMED, date(2027, 3, 1))
    asked = walk_of(answers, Walk((Step(StepName.CARD),), answer))
    words = words_of(ops.post(trial_of(system), {"number": "2199 0001", "pin": PIN}))
    assert [(question and question.number, question and question.pin) for question in asked] == [(NUMBER, PIN)]
    assert "The card is known and good. Valid until 1 March 2027." in words


def test_wrong_test_pin_tells_no_more_than_the_outcome(
    ops: Client, system: LibrarySystem, answers: AnsweringSystem
) -> None:
    walk_of(answers, Walk((Step(StepName.CARD),), Answer(Outcome.UNKNOWN_OR_WRONG)))
    words = words_of(ops.post(trial_of(system), {"number": NUMBER, "pin": "0000"}))
    assert "The card is not known, or the PIN is wrong. Which of the two is not told." in words
    assert Event.objects.get().reason == "good"


def test_pin_is_nowhere_afterwards(
    ops: Client, system: LibrarySystem, answers: AnsweringSystem, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    pin = "K4n4r13-pin"
    pages = [ops.post(trial_of(system), {"number": number, "pin": pin}) for number in (NUMBER, "", "93051822361")]
    assert [pin in page.content.decode() for page in pages] == [False] * 3
    assert [page.status_code for page in pages] == [200] * 3
    assert Event.objects.count() == 1
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(string_agg(e::text, ''), '') FROM enrollment_event e")
        (events,) = cursor.fetchone()
    everywhere = events + caplog.text + str(dict(ops.session))
    assert [canary for canary in (pin, NUMBER) if canary in everywhere] == []


@pytest.mark.parametrize("role", ["coordinator", "auditor"])
def test_others_do_not_test(system: LibrarySystem, answers: AnsweringSystem, role: str) -> None:
    asked = walk_of(answers, Walk(()))
    client = sign_in(make_staff("x@example.test", role))
    assert client.post(trial_of(system), {"number": NUMBER, "pin": PIN}).status_code == 403
    assert trial_of(system) not in client.get(page_of(system)).content.decode()
    assert (asked, Event.objects.count()) == ([], 0)


def test_one_person_tests_thirty_times_an_hour(
    lin: Client, ops: Client, system: LibrarySystem, answers: AnsweringSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = walk_of(answers, Walk(()))
    monkeypatch.setattr(system_checks, "ASKED_PER_PERSON", 2)
    codes = [lin.post(trial_of(system)).status_code for _ in range(4)]
    assert (codes, len(asked)) == ([200, 200, 429, 429], 2)
    assert ops.post(trial_of(system)).status_code == 200


def test_pins_of_one_card_are_tried_five_times_an_hour_by_all_together(
    lin: Client, ops: Client, system: LibrarySystem, answers: AnsweringSystem
) -> None:
    asked = walk_of(answers, Walk((), Answer(Outcome.UNKNOWN_OR_WRONG)))
    codes = [
        client.post(trial_of(system), {"number": NUMBER, "pin": f"{n:04}"}).status_code
        for n, client in enumerate([lin, ops] * 3)
    ]
    assert (codes, len(asked)) == ([200] * 5 + [429], 5)
    assert lin.post(trial_of(system), {"number": "21990002", "pin": PIN}).status_code == 200


def test_test_before_the_institution_asks_is_made_as_the_kind_that_is_chosen(
    ops: Client, answers: AnsweringSystem
) -> None:
    institution = make_institution()
    system = LibrarySystem.objects.create(institution=institution, address="8.8.8.8")
    button = ops.get(page_of(system)).content.decode()
    assert '<input type="hidden" name="kind" value="sip2">' in button
    assert "works" in words_of(ops.post(trial_of(system), {"kind": "sip2"}))
    for forged in ("by_hand", "psychic", ""):
        assert ops.post(trial_of(system), {"kind": forged}).context["form"].errors.keys() == {"kind"}
    institution.refresh_from_db()
    assert (institution.card_check, Event.objects.count()) == ("by_hand", 1)


@pytest.mark.django_db(transaction=True)
def test_nobody_is_asked_inside_a_transaction(ops: Client, system: LibrarySystem, answers: AnsweringSystem) -> None:
    inside: list[bool] = []
    answers.while_asking = lambda: inside.append(connection.in_atomic_block)
    assert ops.post(trial_of(system)).status_code == 200
    assert inside == [False]
