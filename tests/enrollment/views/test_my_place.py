"""My place: the path in plain sentences, start only when it is ready, give back once, and nothing of others."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from catalog.models import Programme
from enrollment import card_checking, ending, history, waiting_list
from enrollment.models import Enrollment, Event, ProviderAccount, SeatPool
from libraries.models import Card, Library, User
from tests.enrollment.views.visiting import heading_of, words_of
from tests.factories import make_librarian, make_library, make_member, make_programme, make_user

pytestmark = pytest.mark.django_db

EARLIER = timedelta(days=2)


@pytest.fixture
def permeke() -> Library:
    return make_library()


@pytest.fixture
def programme(permeke: Library) -> Programme:
    return make_programme(cap=1, name="Leren")


@pytest.fixture
def ada(programme: Programme) -> Enrollment:
    return make_member(programme=programme, now=timezone.now() - EARLIER)


def at(email: str) -> Client:
    client = Client()
    client.force_login(User.objects.get(email=email))
    return client


@pytest.fixture
def visit(ada: Enrollment) -> Client:
    return at("ada@example.test")


def confirm(enrollment: Enrollment) -> None:
    lin = User.objects.filter(email="lin@example.test").first() or make_librarian()
    card_checking.confirm(card_id=enrollment.card_id, by=lin, now=timezone.now() - timedelta(days=1))


def make_ready(enrollment: Enrollment) -> None:
    now = timezone.now()
    ProviderAccount.objects.update(seen="active", seen_at=now, due_at=None)
    history.record(Event.Kind.ACCOUNT_OPENED, now=now, enrollment=enrollment)


def path_of(client: Client) -> list[tuple[str, str]]:
    place = client.get("/en/my/").context["current"][0]
    return [(str(step.stage), step.words) for step in place.path]


# --- The path ---


def test_held_place_says_who_has_to_act(visit: Client) -> None:
    assert path_of(visit) == [
        ("done", "You applied"),
        ("done", "A place is held for you"),
        ("now", "Antwerpen checks your card"),
        ("later", "You have a place"),
        ("later", "Your account is ready: start"),
    ]


def test_confirmed_place_waits_for_the_provider(visit: Client, ada: Enrollment) -> None:
    confirm(ada)
    assert path_of(visit)[2:] == [
        ("done", "Card confirmed by Antwerpen"),
        ("done", "You got a place"),
        ("now", "SkillsTown opens your account"),
    ]
    assert "Start" not in words_of(visit.get("/en/my/"))


def test_place_whose_account_is_late_says_so(visit: Client, ada: Enrollment) -> None:
    confirm(ada)
    notes = []
    for minutes in (9, 11):
        ProviderAccount.objects.update(turn_at=timezone.now() - timedelta(minutes=minutes))
        notes.append(visit.get("/en/my/").context["current"][0].path[-1].note)
    assert notes == [
        "This takes a few minutes. We send you a mail as soon as you can start.",
        "This is taking longer than usual. You keep your place, and you do not have to do anything: we keep trying."
        " We send you a mail as soon as you can start.",
    ]


def test_start_is_there_only_when_the_provider_has_confirmed(visit: Client, ada: Enrollment) -> None:
    confirm(ada)
    make_ready(ada)
    page = visit.get("/en/my/")
    assert path_of(visit)[-2:] == [("done", "Your account is ready"), ("now", "You can start")]
    link = f'<a class="button" href="/en/my/{ada.pk}/start/" target="_blank" rel="noreferrer">'
    assert link in page.content.decode()


def test_start_leads_to_the_courses_and_keeps_the_first_time(visit: Client, ada: Enrollment) -> None:
    confirm(ada)
    make_ready(ada)
    answers = [visit.get(f"/en/my/{ada.pk}/start/") for _ in range(2)]
    assert [answer.headers["Location"] for answer in answers] == ["https://platform.test/start"] * 2
    assert Event.objects.filter(kind="started").count() == 1
    assert path_of(visit)[-2] == ("done", "You went to the courses for the first time")


def test_from_signing_in_nobody_is_sent_to_another_site(client: Client, ada: Enrollment) -> None:
    """A browser follows no redirect of a form to another site."""
    answer = client.get(f"/en/my/{ada.pk}/start/")
    assert answer.headers["Location"] == "/en/accounts/login/code/?next=/en/my/"


def test_start_leads_back_while_nothing_is_ready(visit: Client, ada: Enrollment, programme: Programme) -> None:
    cy = make_member("cy@example.test", programme=programme)
    answer = visit.get(f"/en/my/{ada.pk}/start/")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/en/my/")
    assert visit.get(f"/en/my/{cy.pk}/start/").status_code == 404
    assert not Event.objects.filter(kind="started").exists()


@pytest.mark.parametrize(
    "changes",
    [{"must_be_active": False}, {"seen": "inactive"}, {"seen": "unknown", "seen_at": None}, {"seen": "absent"}],
)
def test_start_is_gone_when_the_account_is_not_open(visit: Client, ada: Enrollment, changes: dict[str, Any]) -> None:
    confirm(ada)
    make_ready(ada)
    ProviderAccount.objects.update(**changes)
    assert b"/start/" not in visit.get("/en/my/").content
    assert visit.get(f"/en/my/{ada.pk}/start/").headers["Location"] == "/en/my/"


def test_account_that_is_stuck_is_told_without_blame(visit: Client, ada: Enrollment) -> None:
    confirm(ada)
    ProviderAccount.objects.update(stuck_at=timezone.now(), trouble="no_secret")
    text = words_of(visit.get("/en/my/"))
    assert "You do not have to do anything: we are looking into it." in text
    assert "no_secret" not in text


def test_who_waits_reads_the_place_in_the_queue(ada: Enrollment, programme: Programme) -> None:
    make_member("bo@example.test", programme=programme)
    make_member("cy@example.test", programme=programme)
    assert path_of(at("cy@example.test"))[:3] == [
        ("done", "You applied"),
        ("done", "You joined the queue"),
        ("now", "You wait: you are number 2 in the queue"),
    ]


def queue_that_moves(programme: Programme) -> Enrollment:
    """Six places came free, and as many got one: Bo was number 8, and is number 2."""
    people = [make_member(f"m{number}@example.test", programme=programme) for number in range(7)]
    bo = make_member("bo@example.test", programme=programme)
    for each in [Enrollment.objects.holding_seats().get(), *people[:5]]:
        ending.give_back(enrollment_id=each.pk, by=each.user, now=timezone.now())
    return bo


def test_who_waits_reads_when_a_place_may_come_and_why_the_place_changed(ada: Enrollment, programme: Programme) -> None:
    queue_that_moves(programme)
    page = at("bo@example.test").get("/en/my/")
    text = words_of(page)
    assert "When will you get a place?" in text
    assert "You can expect a place between" in text
    assert "It is an estimate, not a promise." in text
    assert "In the last 8 weeks, 6 places came free." in text
    assert "6 people before you got a place After that you were number 2." in text
    assert page.context["current"][0].in_queue == 2
    assert "You can expect a place between" in words_of(at("bo@example.test").get("/en/join/done/"))


def test_who_waits_reads_that_nothing_can_be_said_yet(ada: Enrollment, programme: Programme) -> None:
    make_member("bo@example.test", programme=programme)
    text = words_of(at("bo@example.test").get("/en/my/"))
    assert "We cannot say yet when you will get a place. Too few places came free lately to tell." in text
    assert "Why your place in the queue changed" not in text


def test_who_has_a_place_or_is_passed_over_reads_nothing_of_the_queue(
    visit: Client, ada: Enrollment, programme: Programme
) -> None:
    make_member("bo@example.test", programme=programme, number=ada.card.number)
    for client in (visit, at("bo@example.test")):
        assert "When will you get a place?" not in words_of(client.get("/en/my/"))


def test_disputed_card_says_nothing_of_the_other(ada: Enrollment, programme: Programme) -> None:
    make_member("bo@example.test", programme=programme, number=ada.card.number, first_name="Bo")
    page = at("bo@example.test").get("/en/my/")
    assert "Antwerpen checks your card" in words_of(page)
    assert "disput" not in words_of(page).lower()
    assert "ada" not in words_of(page).lower()


def test_lapsed_hold_is_told_and_what_comes_next(visit: Client, ada: Enrollment) -> None:
    waiting_list.lapse_holds(now=timezone.now() + timedelta(days=30))
    path = path_of(visit)
    assert path[2] == ("bad", "The held place was released, because the card was not checked in time")
    assert path[3] == ("now", "Antwerpen checks your card")


def test_refused_card_is_told_with_its_reason(visit: Client, ada: Enrollment) -> None:
    card_checking.refuse(card_id=ada.card_id, reason=Card.Refusal.EXPIRED, by=make_librarian(), now=timezone.now())
    text = words_of(visit.get("/en/my/"))
    assert "Card not accepted by Antwerpen" in text
    assert "The card is no longer valid." in text
    assert "You have no place and no application now." in text


def test_several_programmes_stand_side_by_side(visit: Client, ada: Enrollment, programme: Programme) -> None:
    other = make_programme("tweede", name="Tweede")
    make_member(programme=other, number=ada.card.number)
    assert [place.enrollment.pool.programme.name for place in visit.get("/en/my/").context["current"]] == [
        "Tweede",
        "Leren",
    ]


def test_without_an_application_the_way_to_one_is_shown(client: Client, programme: Programme) -> None:
    client.force_login(make_user())
    page = client.get("/en/my/")
    assert "You have no place and no application now." in words_of(page)
    assert b'href="/en/join/card/"' in page.content


# --- Give back ---


def test_giving_back_is_asked_once_more_and_frees_it(visit: Client, ada: Enrollment, programme: Programme) -> None:
    bo = make_member("bo@example.test", programme=programme)
    address = f"/en/my/{ada.pk}/give-back/"
    assert heading_of(visit.get(address)) == "Do you want to give your place back?"
    answer = visit.post(address, follow=True)
    assert "You gave your place back. Thank you: somebody else can use it now." in words_of(answer)
    ada.refresh_from_db()
    bo.refresh_from_db()
    assert (ada.state, ada.end_reason, bo.state) == ("ended", "given_back", "held")


def test_giving_back_twice_is_once(visit: Client, ada: Enrollment) -> None:
    address = f"/en/my/{ada.pk}/give-back/"
    assert [visit.post(address).status_code for _ in range(2)] == [302, 302]
    assert SeatPool.objects.get().taken == 0
    assert Event.objects.filter(kind=Event.Kind.SEAT_ENDED).count() == 1
    assert heading_of(visit.get(address)) == "This has already ended"


def test_leaving_the_queue_is_called_by_its_name(ada: Enrollment, programme: Programme) -> None:
    bo = make_member("bo@example.test", programme=programme)
    client = at("bo@example.test")
    address = f"/en/my/{bo.pk}/give-back/"
    assert heading_of(client.get(address)) == "Do you want to leave the queue?"
    assert "You left the queue." in words_of(client.post(address, follow=True))


@pytest.mark.parametrize("method", ["get", "post"])
def test_somebody_elses_application_is_not_there(ada: Enrollment, programme: Programme, method: str) -> None:
    make_member("bo@example.test", programme=programme)
    client = at("bo@example.test")
    assert getattr(client, method)(f"/en/my/{ada.pk}/give-back/").status_code == 404
    assert getattr(client, method)(f"/en/my/{'9' * 25}/give-back/").status_code == 404
    ada.refresh_from_db()
    assert ada.state == "held"


def test_ended_place_stays_to_be_read(visit: Client, ada: Enrollment) -> None:
    ending.give_back(enrollment_id=ada.pk, by=ada.user, now=timezone.now())
    (past,) = visit.get("/en/my/").context["past"]
    assert [step.words for step in past.path] == ["You applied", "A place is held for you", "You gave your place back"]


# --- My data ---


def test_page_shows_what_is_kept_and_nothing_of_others(visit: Client, ada: Enrollment, programme: Programme) -> None:
    make_member("bo@example.test", programme=programme, number="77001122", first_name="Bo", last_name="Canary")
    text = words_of(visit.get("/en/my/"))
    for mine in ("Ada Peeters", "ada@example.test", ada.card.number, "Permeke"):
        assert mine in text
    for foreign in ("Canary", "bo@example.test", "77001122"):
        assert foreign not in text


def test_language_of_letters_can_be_chosen(visit: Client, ada: Enrollment) -> None:
    visit.post("/en/my/language/", {"language": "fr"})
    assert User.objects.get(pk=ada.user_id).language == "fr"
    visit.post("/en/my/language/", {"language": "de"})
    assert User.objects.get(pk=ada.user_id).language == "fr"


def test_place_that_went_to_another_account_just_now_is_not_found(
    visit: Client, ada: Enrollment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two accounts were put together between the look and the lock."""

    def give_back(**told: Any) -> bool:
        raise ending.NotYours

    monkeypatch.setattr(ending, "give_back", give_back)
    assert visit.post(f"/en/my/{ada.pk}/give-back/").status_code == 404


@pytest.mark.parametrize("address", ["/en/my/", "/en/my/1/give-back/", "/en/join/card/", "/en/join/done/"])
def test_page_is_kept_by_no_cache(visit: Client, address: str) -> None:
    assert "no-store" in visit.get(address)["Cache-Control"]


def test_my_place_costs_the_same_however_long_the_story(
    visit: Client, ada: Enrollment, programme: Programme, django_assert_num_queries: Any
) -> None:
    def cost() -> int:
        with django_assert_num_queries(100, exact=False) as counted:
            visit.get("/en/my/")
        return len(counted)

    before = cost()
    for number in range(5):
        make_member(f"{number}@example.test", programme=programme)
        history.record(Event.Kind.ACCOUNT_OPENED, now=timezone.now(), enrollment=ada)
    ending.give_back(enrollment_id=ada.pk, by=ada.user, now=timezone.now())
    for _ in range(3):
        again = make_member(programme=make_programme(f"p{_}"), number=ada.card.number)
        ending.give_back(enrollment_id=again.pk, by=again.user, now=timezone.now())
    assert cost() == before
    assert before <= 12


# --- One more term ---


def end_within(days: int, enrollment: Enrollment) -> None:
    confirm(enrollment)
    Enrollment.objects.filter(pk=enrollment.pk).update(ends_at=timezone.now() + timedelta(days=days))


def test_seat_that_ends_soon_can_be_renewed(visit: Client, ada: Enrollment) -> None:
    end_within(20, ada)
    assert "Renew your place" in words_of(visit.get("/en/my/"))
    page = visit.post(f"/en/my/{ada.pk}/renew/", follow=True)
    assert "Your place is renewed: it is yours until" in words_of(page)
    assert "Renew your place" not in words_of(page)
    ends_at = Enrollment.objects.get(pk=ada.pk).ends_at
    assert ends_at is not None
    assert ends_at > timezone.now() + timedelta(days=370)


def test_renewing_is_not_offered_too_early_and_twice_is_told(visit: Client, ada: Enrollment) -> None:
    end_within(200, ada)
    assert "Renew your place" not in words_of(visit.get("/en/my/"))
    assert "from 30 days before it ends" in words_of(visit.post(f"/en/my/{ada.pk}/renew/", follow=True))
    assert visit.get(f"/en/my/{ada.pk}/renew/").status_code == 405


def test_seat_of_another_cannot_be_renewed(visit: Client, ada: Enrollment, programme: Programme) -> None:
    end_within(20, ada)
    make_member("bo@example.test", programme=programme)
    assert at("bo@example.test").post(f"/en/my/{ada.pk}/renew/").status_code == 404
