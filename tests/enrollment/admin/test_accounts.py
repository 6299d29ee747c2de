from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from catalog.models import ProviderLine
from enrollment.models import Enrollment, Event, Letter, ProviderAccount
from libraries.models import StaffRole
from tests.factories import make_coordinator, make_librarian, make_staff
from tests.workplace import Scene, make_scene, sign_in

pytestmark = pytest.mark.django_db
LIST = "/en/admin/enrollment/provideraccount/"


@pytest.fixture
def scene() -> Scene:
    return make_scene()


@pytest.fixture
def account(scene: Scene) -> ProviderAccount:
    return ProviderAccount.objects.get(user=scene.cy.user)


def said(response: Any) -> list[str]:
    return [str(message) for message in response.context["messages"]]


def test_list_tells_the_trouble_in_words_and_no_names(account: ProviderAccount) -> None:
    html = sign_in(make_coordinator()).get(f"{LIST}?stuck=yes").content.decode()
    assert "Another account at the provider has this user name" in html
    assert account.user.last_name not in html


@pytest.mark.parametrize("role", [StaffRole.Role.COORDINATOR, StaffRole.Role.OPERATOR])
def test_trying_again_is_recorded(account: ProviderAccount, role: str) -> None:
    someone = make_staff("oz@example.test", role)
    page = sign_in(someone).post(
        LIST, {"action": "try_again", "_selected_action": account.pk, "index": "0"}, follow=True
    )
    assert said(page) == ["1 account is tried again now."]
    account.refresh_from_db()
    assert (account.stuck_at, account.trouble) == (None, "")
    assert Event.objects.get(kind=Event.Kind.ACCOUNT_RETRIED).actor_id == someone.pk


def test_trying_again_what_is_not_stuck_does_nothing(account: ProviderAccount) -> None:
    ProviderAccount.objects.update(stuck_at=None, trouble="")
    address = reverse("admin:enrollment_provideraccount_remedy", args=[account.pk, "try_again"])
    page = sign_in(make_coordinator()).post(address, follow=True)
    assert said(page) == ["1 was left as it was. It was not stuck."]


def test_librarian_does_not_follow_the_provider(account: ProviderAccount, scene: Scene) -> None:
    lin = sign_in(make_librarian(scene.own))
    assert lin.get(LIST).status_code == 403
    assert lin.get(reverse("admin:enrollment_provideraccount_change", args=[account.pk])).status_code == 403


def test_letters_and_events_name_no_member(scene: Scene) -> None:
    mo = sign_in(make_coordinator())
    for name in ("letter", "event"):
        html = mo.get(reverse(f"admin:enrollment_{name}_changelist")).content.decode()
        assert f"#{scene.cy.pk}" in html
        assert [word for word in ("Kanarie", "zeldzaam", "99887766") if word in html] == []


def test_event_names_staff_and_numbers_members(scene: Scene) -> None:
    mo = make_coordinator(first_name="Mo", last_name="Janssens")
    client = sign_in(mo)
    client.post(reverse("admin:enrollment_enrollment_disputes"), {"card": scene.cy.card_id})
    html = client.get(reverse("admin:enrollment_event_changelist")).content.decode()
    assert "Mo Janssens" in html
    assert f"#{scene.cy.user_id}" in html


def act(client: Any, action: str, *pks: int, **more: Any) -> Any:
    return client.post(LIST, {"action": action, "_selected_action": pks, "index": "0", **more}, follow=True)


def seat(account: ProviderAccount) -> Enrollment:
    """A place that hangs on it."""
    enrollment = Enrollment.objects.get(user=account.user)
    until = timezone.now() + timedelta(days=300)
    Enrollment.objects.filter(pk=enrollment.pk).update(state="seated", seated_at=timezone.now(), ends_at=until)
    Enrollment.objects.filter(pk=enrollment.pk).update(hold_until=None)
    type(enrollment.pool).objects.filter(pk=enrollment.pool_id).update(cap=2, taken=2)
    enrollment.share.taken = 1
    enrollment.share.save()
    return enrollment


def test_giving_up_shows_first_what_it_does(account: ProviderAccount) -> None:
    place, client = seat(account), sign_in(make_coordinator())
    page = act(client, "give_up", account.pk)
    html = page.content.decode()
    assert page.status_code == 200
    assert "1 place ends" in html
    assert [word for word in (account.user.first_name, account.user.email) if word in html] == []
    place.refresh_from_db()
    assert place.state == Enrollment.State.SEATED
    page = act(client, "give_up", account.pk, expected=page.context["forecast"].fingerprint)
    assert said(page) == ["1 account is given up, and its place is free."]
    place.refresh_from_db()
    assert (place.state, place.end_reason) == (Enrollment.State.ENDED, Enrollment.EndReason.NO_ACCOUNT)


def test_giving_up_tells_how_many_of_the_chosen_stay(account: ProviderAccount, scene: Scene) -> None:
    seat(account)
    other = ProviderAccount.objects.create(user=scene.ada.user, provider=account.provider, must_be_active=False)
    page = act(sign_in(make_coordinator()), "give_up", account.pk, other.pk)
    assert "1 of the accounts you chose stays as it is" in page.content.decode()


def test_giving_up_stops_when_it_would_do_something_else_by_now(account: ProviderAccount) -> None:
    place, client = seat(account), sign_in(make_coordinator())
    page = act(client, "give_up", account.pk, expected="of-before")
    assert "Something has changed in the meantime" in page.content.decode()
    place.refresh_from_db()
    assert place.state == Enrollment.State.SEATED


def test_button_of_the_page_asks_too_and_then_gives_up(account: ProviderAccount) -> None:
    place, client = seat(account), sign_in(make_coordinator())
    address = reverse("admin:enrollment_provideraccount_remedy", args=[account.pk, "give_up"])
    page = client.post(address)
    forecast = page.context["forecast"]
    page = client.post(address, {"expected": forecast.fingerprint}, follow=True)
    assert said(page) == ["1 account is given up, and its place is free."]
    place.refresh_from_db()
    assert place.state == Enrollment.State.ENDED


def test_account_without_a_place_is_not_given_up(account: ProviderAccount) -> None:
    page = act(sign_in(make_coordinator()), "give_up", account.pk)
    assert said(page) == ["1 was left as it was. No place hangs on it: the account is only to be closed or erased."]


WHY = "Seen on their page that it is open."


def confirm(client: Any, page: Any, *pks: int, words: str = WHY, **more: Any) -> Any:
    expected = page.context["forecast"].fingerprint
    return act(client, "mark_done", *pks, apply="yes", **{"expected": expected, "words": words, **more})


def test_marking_as_done_shows_first_what_it_does_and_is_recorded_with_the_reason(account: ProviderAccount) -> None:
    place, someone = seat(account), make_coordinator()
    client = sign_in(someone)
    page = act(client, "mark_done", account.pk)
    html = page.content.decode()
    for words in ("1 account counts as done", "account open", f">#{place.pk}</a>", "has this user name"):
        assert words in html
    assert [word for word in (account.user.first_name, account.user.email) if word in html] == []
    account.refresh_from_db()
    assert (account.stuck_at is not None, Letter.objects.filter(kind="account_ready").count()) == (True, 0)
    assert said(confirm(client, page, account.pk)) == ["1 account is marked as done."]
    account.refresh_from_db()
    assert (account.is_ready, account.stuck_at) == (True, None)
    event = Event.objects.get(kind=Event.Kind.ACCOUNT_BY_HAND)
    assert (event.actor_id, event.note.words) == (someone.pk, WHY)
    assert Letter.objects.get(kind="account_ready").enrollment_id == place.pk


def test_several_are_marked_as_done_at_once_and_who_is_not_stuck_is_told(
    account: ProviderAccount, scene: Scene
) -> None:
    client, now = sign_in(make_coordinator()), timezone.now()
    told = {"provider": account.provider, "due_at": now, "stuck_at": now, "trouble": "not_erased_yet"}
    erased = ProviderAccount.objects.create(user=scene.ada.user, must_be_active=False, must_be_erased=True, **told)
    settled = ProviderAccount.objects.create(
        user=Enrollment.objects.get(user__email="bo@example.test").user, provider=account.provider, must_be_active=False
    )
    pks = (account.pk, erased.pk, settled.pk)
    page = act(client, "mark_done", *pks)
    html = page.content.decode()
    for words in ("2 accounts count as done", "on their proof", "1 of the accounts you chose stays as it is"):
        assert words in html
    assert said(confirm(client, page, *pks)) == [
        "2 accounts are marked as done.",
        "1 was left as it was. It was not stuck.",
    ]
    assert Event.objects.filter(kind=Event.Kind.ACCOUNT_BY_HAND, note__words=WHY).count() == 2


@pytest.mark.parametrize("words", ["", "   ", "85.07.30-033.28"])
def test_marking_as_done_needs_a_reason_that_may_be_kept(account: ProviderAccount, words: str) -> None:
    client = sign_in(make_coordinator())
    page = confirm(client, act(client, "mark_done", account.pk), account.pk, words=words)
    assert page.status_code == 200
    assert "words" in page.context["form"].errors
    account.refresh_from_db()
    assert account.stuck_at is not None


def test_marking_as_done_stops_when_it_would_do_something_else_by_now(account: ProviderAccount) -> None:
    client = sign_in(make_coordinator())
    page = act(client, "mark_done", account.pk)
    seat(account)
    page = confirm(client, page, account.pk)
    assert "Something has changed in the meantime" in page.content.decode()
    assert WHY in page.content.decode()
    account.refresh_from_db()
    assert account.stuck_at is not None


def test_marking_as_done_with_nothing_chosen_does_nothing(account: ProviderAccount) -> None:
    page = act(sign_in(make_coordinator()), "mark_done", words=WHY, expected="x", apply="yes")
    assert len(said(page)) == 1
    account.refresh_from_db()
    assert account.stuck_at is not None


def test_marking_as_done_what_is_no_longer_stuck_says_so(account: ProviderAccount) -> None:
    client = sign_in(make_coordinator())
    page = act(client, "mark_done", account.pk)
    ProviderAccount.objects.update(stuck_at=None, trouble="")
    assert said(confirm(client, page, account.pk)) == ["1 was left as it was. It was not stuck."]


def test_button_of_the_page_asks_for_the_reason_too(account: ProviderAccount) -> None:
    client = sign_in(make_coordinator())
    address = reverse("admin:enrollment_provideraccount_remedy", args=[account.pk, "mark_done"])
    assert client.get(address, follow=True).redirect_chain != []  # a link does nothing
    page = client.post(address)
    page = client.post(address, {"expected": page.context["forecast"].fingerprint, "words": WHY}, follow=True)
    assert said(page) == ["1 account is marked as done."]


def test_list_can_be_narrowed_to_one_trouble(account: ProviderAccount) -> None:
    client = sign_in(make_coordinator())
    html = client.get(LIST).content.decode()
    assert "?trouble=name_taken" in html
    row = f"provideraccount/{account.pk}/change/"
    assert row in client.get(f"{LIST}?trouble=name_taken").content.decode()
    assert row not in client.get(f"{LIST}?trouble=gone").content.decode()


def test_answer_of_the_provider_is_for_operators_alone(account: ProviderAccount) -> None:
    ProviderAccount.objects.update(answer="409: uniqueness")
    page = reverse("admin:enrollment_provideraccount_change", args=[account.pk])
    operator = make_staff("oz@example.test", StaffRole.Role.OPERATOR)
    assert "409: uniqueness" in sign_in(operator).get(page).content.decode()
    assert "409: uniqueness" not in sign_in(make_coordinator()).get(page).content.decode()


def test_auditor_sees_and_does_nothing(account: ProviderAccount) -> None:
    auditor = sign_in(make_staff("au@example.test", StaffRole.Role.AUDITOR))
    for remedy in ("try_again", "give_up", "mark_done"):
        address = reverse("admin:enrollment_provideraccount_remedy", args=[account.pk, remedy])
        assert auditor.post(address).status_code == 403
        act(auditor, remedy, account.pk)
    account.refresh_from_db()
    assert account.stuck_at is not None


def test_front_page_tells_of_a_provider_that_is_down(scene: Scene) -> None:
    now = timezone.now()
    ProviderLine.objects.create(provider=scene.programme.provider, down_since=now, next_probe_at=now)
    html = sign_in(make_coordinator()).get("/en/admin/").content.decode()
    assert "provider is not available" in html
    assert "provider is not available" not in sign_in(make_librarian(scene.own)).get("/en/admin/").content.decode()


def test_application_with_a_stuck_account_says_who_has_to_act(account: ProviderAccount, scene: Scene) -> None:
    application = reverse("admin:enrollment_enrollment_change", args=[scene.cy.pk])
    hint = "The coordinator sees this too, and decides what is done. You do not have to do anything."
    link = reverse("admin:enrollment_provideraccount_change", args=[account.pk])
    told = []
    for someone in (make_coordinator(), make_librarian(scene.cy.share.institution, "of-cy@example.test")):
        html = sign_in(someone).get(application).content.decode()
        told.append((hint in html, f'href="{link}"' in html))
    assert told == [(False, True), (True, False)]
