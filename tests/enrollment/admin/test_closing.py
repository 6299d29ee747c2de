"""A coordinator ends a programme from the page of its places: shown first, then done, and taken back in time."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from catalog.models import Programme
from enrollment import card_checking, closing
from enrollment.admin.catalog import ProgrammeForm
from enrollment.closing import Plan
from enrollment.models import Enrollment, Event, EventNote, Letter
from libraries.models import User
from tests.factories import make_coordinator, make_librarian, make_library, make_member, make_programme
from tests.workplace import sign_in

pytestmark = pytest.mark.django_db

TODAY = timezone.localdate()
SOON, LATER = TODAY + timedelta(days=40), TODAY + timedelta(days=100)
TERM = {"closes_on": f"{SOON}", "seats_end": "term", "seats_end_on": "", "reason": "The contract ends."}
BY_DAY = TERM | {"seats_end": "day", "seats_end_on": f"{LATER}"}


@pytest.fixture
def programme() -> Programme:
    """Ada has a place, Bo's is held, Dirk waits."""
    make_library()
    programme = make_programme(cap=2)
    ada, _bo, _dirk = (make_member(f"{name}@example.test", programme=programme) for name in ("ada", "bo", "dirk"))
    card_checking.confirm(card_id=ada.card_id, by=make_librarian(), now=timezone.now())
    return programme


@pytest.fixture
def mo() -> User:
    return make_coordinator(first_name="Mo", last_name="Janssens")


@pytest.fixture
def desk(mo: User) -> Client:
    return sign_in(mo)


def page_of(programme: Programme, name: str = "change") -> str:
    return reverse(f"admin:enrollment_seatpool_{name}", args=[programme.pool.pk])


def said(response: Any) -> list[str]:
    return [str(message) for message in response.context["messages"]]


def dates() -> tuple[date | None, date | None]:
    return Programme.objects.values_list("closes_on", "seats_end_on").get()


def shown(client: Client, programme: Programme, post: dict[str, str]) -> tuple[Any, dict[str, str]]:
    """The preview, and what its button sends."""
    answer = client.post(page_of(programme, "close"), post)
    return answer, post | {"expected": answer.context["preview"].fingerprint}


def test_coordinator_sees_what_the_end_does_before_it_is_decided(programme: Programme, desk: Client) -> None:
    assert page_of(programme, "close") in desk.get(page_of(programme)).content.decode()
    assert desk.get(page_of(programme, "close")).status_code == 200
    page, _post = shown(desk, programme, BY_DAY)
    preview = page.context["preview"]
    assert (preview.seated, preview.shortened, preview.held, preview.waiting, preview.letters) == (1, 1, 1, 1, 3)
    assert "Until then it can be withdrawn." in page.content.decode()
    assert dates() == (None, None)


def test_end_is_planned_as_it_was_shown_and_can_be_withdrawn(programme: Programme, desk: Client) -> None:
    _page, post = shown(desk, programme, BY_DAY)
    page = desk.post(page_of(programme, "close"), post, follow=True)
    assert page.redirect_chain == [(page_of(programme), 302)]
    assert said(page) == ["The end of the programme is planned. Everybody who has a place or waits gets a letter."]
    assert dates() == (SOON, LATER)
    words = page.content.decode()
    assert all(told in words for told in ("The contract ends.", "Mo Janssens", page_of(programme, "reopen")))
    assert Letter.objects.filter(kind="programme_closes").count() == 3
    assert desk.get(page_of(programme, "reopen")).status_code == 200
    page = desk.post(page_of(programme, "reopen"), {"reason": "The city pays after all."}, follow=True)
    assert said(page) == ["The programme goes on. Everybody who has a place or waits gets a letter."]
    assert dates() == (None, None)
    assert EventNote.objects.get(event__kind="programme_reopened").words == "The city pays after all."


def test_end_at_once_is_told_as_such(programme: Programme, desk: Client) -> None:
    page, post = shown(desk, programme, TERM | {"closes_on": f"{TODAY}"})
    assert "This cannot be undone." in page.content.decode()
    assert "1 person in the queue is told within minutes" in page.content.decode()
    page = desk.post(page_of(programme, "close"), post, follow=True)
    assert said(page) == ["The programme has ended. Everybody who has a place or waits gets a letter."]
    words = page.content.decode()
    assert "nobody gets a new place any more." in words
    assert page_of(programme, "reopen") not in words
    page = desk.post(page_of(programme, "reopen"), {"reason": "After all."})
    assert page.context["form"].errors == {
        "__all__": ["The programme has closed already. Only the last day of its places can change."]
    }
    page, _post = shown(desk, programme, BY_DAY | {"closes_on": f"{TODAY}"})
    assert "The programme has closed already. This changes only the last day of its places." in page.content.decode()


def test_second_coordinator_sees_what_has_changed_and_has_done_nothing(programme: Programme, desk: Client) -> None:
    _page, post = shown(desk, programme, BY_DAY)
    an = make_coordinator("an@example.test")
    plan = Plan(closes_on=SOON)
    closing.close(pool_id=programme.pool.pk, plan=plan, reason="Ends", by=an, now=timezone.now())
    page = desk.post(page_of(programme, "close"), post)
    assert page.context["overtaken"]
    assert "Something has changed in the meantime" in page.content.decode()
    assert dates() == (SOON, None)
    desk.post(page_of(programme, "close"), post | {"expected": page.context["preview"].fingerprint})
    assert dates() == (SOON, LATER)


@pytest.mark.parametrize("expected", ["", "forged"])
def test_nothing_is_decided_that_was_not_shown(programme: Programme, desk: Client, expected: str) -> None:
    assert desk.post(page_of(programme, "close"), TERM | {"expected": expected}).context["overtaken"]
    assert dates() == (None, None)


def test_one_may_go_back_from_the_preview_to_the_form(programme: Programme, desk: Client) -> None:
    _page, post = shown(desk, programme, BY_DAY)
    page = desk.post(page_of(programme, "close"), post | {"back": "yes"})
    assert (page.context["preview"], page.context["form"]["closes_on"].value()) == (None, f"{SOON}")
    assert dates() == (None, None)


def test_last_day_that_was_filled_in_before_the_other_choice_does_not_count(programme: Programme, desk: Client) -> None:
    page, _post = shown(desk, programme, BY_DAY | {"seats_end": "term"})
    assert page.context["preview"].plan == Plan(closes_on=SOON)


REQUIRED = ["This field is required."]


@pytest.mark.parametrize(
    ("post", "errors"),
    [
        ({"closes_on": "2020-01-01"}, {"closes_on": ["This day has passed."]}),
        ({"closes_on": "0001-01-01"}, {"closes_on": ["This day has passed."]}),
        ({"closes_on": "9999-12-31"}, {"closes_on": ["This day is very far away. Check the year."]}),
        ({"closes_on": "soon"}, {"closes_on": ["Enter a valid date."]}),
        ({"closes_on": ""}, {"closes_on": REQUIRED}),
        ({"seats_end": ""}, {"seats_end": REQUIRED}),
        ({"seats_end": "never"}, {"seats_end": ["Select a valid choice. never is not one of the available choices."]}),
        ({"seats_end": "day"}, {"seats_end_on": ["Choose the last day."]}),
        ({"seats_end": "day", "seats_end_on": "x"}, {"seats_end_on": ["Enter a valid date."]}),
        (
            {"seats_end": "day", "seats_end_on": f"{TODAY}"},
            {"seats_end_on": ["Places cannot end before the programme closes."]},
        ),
        (
            {"seats_end": "day", "seats_end_on": "9999-12-31"},
            {"seats_end_on": ["This day is very far away. Check the year."]},
        ),
        ({"reason": "  "}, {"reason": REQUIRED}),
        (
            {"reason": "85.07.30-033.28"},
            {"reason": ["This looks like a national register number. It may not be kept here."]},
        ),
    ],
)
def test_what_makes_no_sense_is_told_beside_its_field(
    programme: Programme, desk: Client, post: dict[str, str], errors: dict[str, list[str]]
) -> None:
    assert desk.post(page_of(programme, "close"), TERM | post).context["form"].errors == errors
    assert dates() == (None, None)


def test_end_that_is_so_already_is_told(programme: Programme, desk: Client) -> None:
    _page, post = shown(desk, programme, TERM)
    desk.post(page_of(programme, "close"), post)
    page = desk.post(page_of(programme, "close"), post)
    assert page.context["form"].errors == {"__all__": ["That is how it is already."]}
    assert Event.objects.filter(kind="programme_closes").count() == 1


def test_form_begins_with_what_is_planned(programme: Programme, desk: Client) -> None:
    Programme.objects.update(closes_on=SOON, seats_end_on=LATER)
    form = desk.get(page_of(programme, "close")).context["form"]
    assert [form[name].value() for name in ("closes_on", "seats_end", "seats_end_on")] == [SOON, "day", LATER]


def test_librarian_reads_that_it_ends_and_can_change_nothing(programme: Programme, mo: User) -> None:
    plan = Plan(closes_on=SOON)
    closing.close(pool_id=programme.pool.pk, plan=plan, reason="It ends", by=mo, now=timezone.now())
    lin = sign_in(User.objects.get(email="lin@example.test"))
    page = lin.get(page_of(programme))
    assert "nobody gets a new place any more" in page.content.decode()
    assert page_of(programme, "close") not in page.content.decode()
    for name in ("close", "reopen"):
        assert lin.get(page_of(programme, name)).status_code == 403
        assert lin.post(page_of(programme, name), BY_DAY | {"expected": "forged"}).status_code == 403
    assert dates() == (SOON, None)
    assert Enrollment.objects.filter(uncut_ends_at__isnull=False).count() == 0


def test_programme_with_places_closes_by_one_door(programme: Programme, desk: Client) -> None:
    address = reverse("admin:catalog_programme_change", args=[programme.pk])
    form = desk.get(address).context["adminform"].form
    assert "closes_on" not in form.fields
    desk.post(address, {name: form[name].value() or "" for name in form.fields} | {"closes_on": f"{SOON}"})
    assert dates() == (None, None)
    empty = Programme.objects.create(slug="empty", name="Empty", provider=programme.provider, opens_on=TODAY)
    address = reverse("admin:catalog_programme_change", args=[empty.pk])
    assert "closes_on" in desk.get(address).context["adminform"].form.fields


# --- The form of the programme, where its end can only be read ---


def programme_form(programme: Programme, desk: Client) -> dict[str, Any]:
    """As it stands on the page."""
    page = desk.get(f"/en/admin/catalog/programme/{programme.pk}/change/")
    bound = page.context["adminform"].form
    return {name: "" if bound[name].value() is None else bound[name].value() for name in bound.fields}


def test_programme_cannot_open_after_its_end(programme: Programme, mo: User, desk: Client) -> None:
    closing.close(pool_id=programme.pool.pk, plan=Plan(closes_on=SOON), reason="x", by=mo, now=timezone.now())
    told = programme_form(programme, desk) | {"opens_on": f"{SOON}"}
    answer = desk.post(f"/en/admin/catalog/programme/{programme.pk}/change/", told)
    assert answer.context["adminform"].form.errors == {"opens_on": ["The programme closes before this day."]}
    programme.refresh_from_db()
    assert programme.opens_on == date(2019, 7, 1)


def test_form_of_the_programme_keeps_an_end_that_is_decided_meanwhile(
    programme: Programme, desk: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between reading the programme and saving it somebody else ends it."""
    told = programme_form(programme, desk) | {"name": "Leren"}
    check = ProgrammeForm.clean_opens_on

    def check_later(form: ProgrammeForm) -> date:
        Programme.objects.update(closes_on=SOON, seats_end_on=LATER)
        return check(form)

    monkeypatch.setattr(ProgrammeForm, "clean_opens_on", check_later)
    answer = desk.post(f"/en/admin/catalog/programme/{programme.pk}/change/", told)
    assert answer.status_code == 302
    assert (dates(), Programme.objects.get().name) == ((SOON, LATER), "Leren")
