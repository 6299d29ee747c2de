"""What else changes when two accounts become one: at providers, for the closed account, and in what people read."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils import translation

from catalog.models import Programme
from enrollment import applying, drafts, ending
from enrollment.eligibility import Reason
from enrollment.merge_plan import Why
from enrollment.models import Enrollment, Letter, ProviderAccount
from enrollment.reports import timeline
from enrollment.reports.path import events_of, path_of
from libraries.models import Card, User
from tests.factories import (
    ADDRESS,
    NOW,
    make_application,
    make_coordinator,
    make_library,
    make_member,
    make_programme,
    make_provider,
    make_user,
)
from tests.letters import check_complete
from tests.merges import ADA, BO, LATER, accounts, again, confirm, enlarge, merge

State = Enrollment.State


@pytest.fixture
def mo(db: None) -> User:
    return make_coordinator()


@pytest.fixture
def programme(db: None) -> Programme:
    """Nobody gets a place yet."""
    make_library()
    return make_programme(cap=0)


# --- Accounts at providers ---


def seen_open() -> None:
    ProviderAccount.objects.update(seen="active", seen_at=NOW, due_at=None)


def test_account_that_only_the_other_has_is_handed_over_and_owed(programme: Programme, mo: User) -> None:
    enlarge(programme, 1)
    bo = make_member(BO, programme=programme, now=NOW)
    confirm(bo)
    seen_open()
    before = ProviderAccount.objects.get()
    merge(make_user(), bo, mo)
    assert accounts() == [(ADA, True, True)]
    after = ProviderAccount.objects.get()
    assert (after.external_id, after.seen, after.version) == (before.external_id, "active", before.version + 1)


def test_of_two_accounts_at_one_provider_the_others_is_closed(programme: Programme, mo: User) -> None:
    enlarge(programme, 2)
    for email in (BO, ADA):
        confirm(make_member(email, programme=programme, now=NOW))
    seen_open()
    ada, bo = (User.objects.get(email=email) for email in (ADA, BO))
    plan = merge(ada, bo, mo)
    assert [account.user_id for account in plan.closing_accounts] == [bo.pk]
    assert accounts() == [(ADA, True, True), (BO, False, True)]
    assert ProviderAccount.objects.get(user=ada).is_ready


def test_closed_account_is_opened_again_for_a_place_that_moves_to_it(programme: Programme, mo: User) -> None:
    enlarge(programme, 1)
    ada = make_member(ADA, programme=programme, now=NOW)
    confirm(ada)
    ending.give_back(enrollment_id=ada.pk, by=ada.user, now=NOW)
    bo = make_member(BO, programme=programme, now=NOW)
    confirm(bo)
    seen_open()
    merge(ada, bo, mo)
    assert accounts() == [(ADA, True, True), (BO, False, True)]
    assert not ProviderAccount.objects.get(user=ada.user).is_ready


def test_accounts_at_two_providers_are_both_kept(programme: Programme, mo: User) -> None:
    second = make_programme("second", provider=make_provider("other"), cap=1)
    enlarge(programme, 1)
    ada, bo = make_member(ADA, programme=programme, now=NOW), make_member(BO, programme=second, now=NOW)
    confirm(ada)
    confirm(bo)
    plan = merge(ada, bo, mo)
    assert plan.closing_accounts == []
    assert accounts() == [(ADA, True, True), (ADA, True, True)]


def test_closed_account_of_the_other_is_not_asked_about(programme: Programme, mo: User) -> None:
    enlarge(programme, 1)
    bo = make_member(BO, programme=programme, now=NOW)
    confirm(bo)
    ending.give_back(enrollment_id=bo.pk, by=bo.user, now=NOW)
    ProviderAccount.objects.update(seen="inactive", seen_at=NOW, due_at=None)
    merge(make_user(), bo, mo)
    assert accounts() == [(ADA, False, False)]


# --- The account that is closed ---


def test_other_account_cannot_be_used_any_more(programme: Programme, mo: User, client: Client) -> None:
    ada, bo = make_member(ADA, programme=programme, now=NOW), make_member(BO, programme=programme, now=NOW)
    client.force_login(bo.user)
    assert client.get("/my/").status_code == 200
    merge(ada, bo, mo)
    assert client.get("/my/").status_code == 302
    assert not User.objects.get(email=BO).is_active
    assert not Enrollment.objects.filter(user__email=BO).exists()
    assert not Card.objects.filter(user__email=BO).exists()


def test_who_was_applying_with_the_other_account_finds_it_closed(programme: Programme, mo: User) -> None:
    """The person was read before the accounts were merged."""
    ada, bo = make_member(ADA, programme=programme, now=NOW), make_user(BO)
    merge(ada, bo, mo)
    assert bo.is_active
    with pytest.raises(applying.Ineligible) as caught:
        applying.apply(
            user=bo, pool=programme.pool, application=make_application(number="21000005"), address=ADDRESS, now=LATER
        )
    assert caught.value.reasons == [Reason.ACCOUNT_CLOSED]


def test_names_come_along_where_the_one_who_stays_has_none(programme: Programme, mo: User) -> None:
    ada = make_user()
    merge(ada, make_member(BO, programme=programme, first_name="Bo", last_name="Wachter", now=NOW), mo)
    assert User.objects.get(pk=ada.pk).full_name == "Bo Wachter"


# --- Letters ---


def test_letters_that_are_owed_go_to_who_stays(programme: Programme, mo: User) -> None:
    ada, bo = make_member(ADA, programme=programme, now=NOW), make_member(BO, programme=programme, now=NOW)
    Letter.objects.filter(user=bo.user).update(due_at=None, sent_at=NOW)
    Letter.objects.owe(Letter.Kind.SEAT_RENEWED, bo, now=NOW)
    merge(ada, bo, mo)
    letters = Letter.objects.order_by("pk").values_list("kind", "user__email", "enrollment_id")
    assert list(letters) == [
        ("in_queue", ADA, ada.pk),
        ("in_queue", BO, bo.pk),
        ("seat_renewed", ADA, bo.pk),
        ("merged", ADA, ada.pk),
    ]


@pytest.mark.parametrize("language", ["nl", "fr", "en"])
def test_letter_says_which_address_to_sign_in_with(language: str, programme: Programme, mo: User) -> None:
    merge(make_user(), make_member(BO, programme=programme, now=NOW), mo)
    letter = Letter.objects.get(kind=Letter.Kind.MERGED)
    text = check_complete(letter, language, page="my")
    assert ADA in text
    assert BO not in text


def test_letter_about_the_application_that_ended_is_not_sent(programme: Programme, mo: User) -> None:
    ada, bo = make_member(ADA, programme=programme, now=NOW), make_member(BO, programme=programme, now=LATER)
    merge(ada, bo, mo)
    composed = {letter.enrollment_id: drafts.compose(letter) for letter in Letter.objects.filter(kind="in_queue")}
    assert composed[bo.pk] is None
    assert composed[ada.pk] is not None


# --- What people read ---


@translation.override("en")
def test_staff_read_what_happened_and_why(programme: Programme, mo: User) -> None:
    bo, ada = make_member(BO, programme=programme, now=NOW), make_member(ADA, programme=programme, now=NOW)
    merge(ada, bo, mo)
    stays, ended = (timeline.timeline(again(each))[-1] for each in (bo, ada))
    assert (stays.what, stays.why) == ("Put together with another application of the same person", str(Why.OLDER.label))
    assert ended.why == str(Enrollment.EndReason.MERGED.label)
    assert stays.words == ended.words == "The same person, seen at the desk."
    assert [each.who for each in timeline.timeline(again(bo))] == ["the member", "the portal", mo.email]


@translation.override("en")
def test_member_reads_that_two_accounts_are_one(programme: Programme, mo: User) -> None:
    bo, ada = make_member(BO, programme=programme, now=NOW), make_member(ADA, programme=programme, now=NOW)
    merge(ada, bo, mo)
    rows = Enrollment.objects.select_related("card__library", "share__institution", "pool__programme__provider")
    events = events_of(rows)
    steps = {row.pk: [step.words for step in path_of(row, events[row.pk], account=None, place=1)] for row in rows}
    assert "Your two accounts became one" in steps[bo.pk]
    assert steps[ada.pk][-1] == "Put together with your other application"
