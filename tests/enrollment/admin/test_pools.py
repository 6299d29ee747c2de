from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from catalog.models import Programme, Provider
from enrollment import card_checking, ending
from enrollment.models import CapChange, Enrollment, Event, EventNote, ProviderAccount, SeatPool, Share
from libraries.models import StaffRole, User
from tests.factories import (
    make_coordinator,
    make_institution,
    make_librarian,
    make_library,
    make_member,
    make_programme,
    make_staff,
)
from tests.workplace import sign_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def programme() -> Programme:
    make_institution()
    programme = make_programme(cap=1)
    for name in ("ada", "bo", "dirk"):
        make_member(f"{name}@example.test", programme=programme, library=make_library())
    return programme


def said(response: Any) -> list[str]:
    return [str(message) for message in response.context["messages"]]


def filled_in(page: Any) -> dict[str, Any]:
    """What the form of this page would send as it stands."""
    initial = page.context["adminform"].form.initial
    return {name: value for name, value in initial.items() if value is not None}


def cap_page(programme: Programme) -> str:
    return reverse("admin:enrollment_seatpool_cap", args=[programme.pool.pk])


def shares_page(programme: Programme) -> str:
    return reverse("admin:enrollment_seatpool_shares", args=[programme.pool.pk])


def shown(client: Client, page: str, post: dict[str, str]) -> tuple[Any, dict[str, str]]:
    """The preview, and what its button sends."""
    answer = client.post(page, post)
    preview = answer.context["preview"]
    return answer, post | {"expected": preview.fingerprint}


def test_coordinator_sees_what_raising_does_before_it_is_done(programme: Programme) -> None:
    page, _sent = shown(sign_in(make_coordinator()), cap_page(programme), {"cap": "2", "reason": "More."})
    preview = page.context["preview"]
    assert (preview.limit, preview.taken, preview.given, preview.held) == (2, 1, 1, 1)
    assert (preview.letters, preview.waiting, preview.free) == (1, 1, 0)
    assert "1 person in the queue gets a place at once." in page.content.decode()
    assert (SeatPool.objects.get().cap, CapChange.objects.count()) == (1, 0)


@pytest.mark.parametrize(
    ("calls_per_second", "owed", "told"),
    [
        (1, 0, "The provider needs less than a minute to open the accounts."),
        (1, 59, "The provider needs about 1 minute to open the accounts"),
        (1, 400, "The provider needs about 7 minutes to open the accounts"),
    ],
)
def test_preview_tells_how_long_the_provider_needs(
    calls_per_second: int, owed: int, told: str, programme: Programme
) -> None:
    """Bo's card is confirmed, so one account would be opened; others are waited for already."""
    bo = Enrollment.objects.waiting().order_by("pk")[0]
    card_checking.confirm(card_id=bo.card_id, by=make_librarian(), now=timezone.now())
    Provider.objects.update(calls_per_second=calls_per_second)
    people = User.objects.bulk_create(User(email=f"many{number}@example.test") for number in range(owed))
    ProviderAccount.objects.owe_open(programme.provider_id, [each.pk for each in people], now=timezone.now())
    page, _sent = shown(sign_in(make_coordinator()), cap_page(programme), {"cap": "2", "reason": "More."})
    assert told in page.content.decode()


def test_preview_says_nothing_of_the_provider_when_no_account_is_opened(programme: Programme) -> None:
    page, _sent = shown(sign_in(make_coordinator()), cap_page(programme), {"cap": "2", "reason": "More."})
    assert "The provider needs" not in page.content.decode()


def test_operator_tells_how_fast_a_provider_is_and_coordinator_when_a_queue_is_long(programme: Programme) -> None:
    oz, mo = sign_in(make_staff("oz@example.test", StaffRole.Role.OPERATOR)), sign_in(make_coordinator())
    provider = reverse("admin:catalog_provider_change", args=[programme.provider_id])
    page = reverse("admin:catalog_programme_change", args=[programme.pk])
    oz.post(provider, filled_in(oz.get(provider)) | {"calls_per_second": "20"})
    mo.post(page, filled_in(mo.get(page)) | {"queue_alarm": "50"})
    programme.refresh_from_db()
    assert (programme.provider.calls_per_second, programme.queue_alarm) == (20, 50)


def test_raising_does_what_was_shown(programme: Programme) -> None:
    mo = make_coordinator(first_name="Mo", last_name="Janssens")
    client = sign_in(mo)
    _page, post = shown(client, cap_page(programme), {"cap": "2", "reason": "The city pays for more."})
    page = client.post(cap_page(programme), post, follow=True)
    assert page.redirect_chain == [(reverse("admin:enrollment_seatpool_change", args=[programme.pool.pk]), 302)]
    assert said(page) == ["The change is made: 1 person in the queue got a place."]
    assert Enrollment.objects.holding_seats().count() == 2
    change = CapChange.objects.get()
    assert (change.old_cap, change.new_cap, change.by, change.reason) == (1, 2, mo, "The city pays for more.")
    assert "Mo Janssens" in page.content.decode()
    assert EventNote.objects.get(event__kind=Event.Kind.CAP_CHANGED).words == "The city pays for more."


def test_who_was_overtaken_sees_it_and_has_done_nothing(programme: Programme) -> None:
    mo = sign_in(make_coordinator())
    _page, post = shown(mo, cap_page(programme), {"cap": "3", "reason": "More."})
    waiting = Enrollment.objects.waiting().order_by("pk").first()
    assert waiting is not None
    ending.give_back(enrollment_id=waiting.pk, by=waiting.user, now=timezone.now())
    page = mo.post(cap_page(programme), post)
    assert (page.context["overtaken"], page.context["preview"].given) == (True, 1)
    assert "Something has changed in the meantime" in page.content.decode()
    assert SeatPool.objects.get().cap == 1
    mo.post(cap_page(programme), post | {"expected": page.context["preview"].fingerprint})
    assert SeatPool.objects.get().cap == 3


@pytest.mark.parametrize("expected", ["", "forged"])
def test_nothing_is_done_that_was_not_shown(programme: Programme, expected: str) -> None:
    post = {"cap": "2", "reason": "More.", "expected": expected}
    assert sign_in(make_coordinator()).post(cap_page(programme), post).context["overtaken"]
    assert SeatPool.objects.get().cap == 1


def test_one_may_go_back_from_the_preview_to_the_form(programme: Programme) -> None:
    mo = sign_in(make_coordinator())
    _page, post = shown(mo, cap_page(programme), {"cap": "2", "reason": "More."})
    page = mo.post(cap_page(programme), post | {"back": "yes"})
    assert (page.context["preview"], page.context["form"]["cap"].value()) == (None, "2")
    assert SeatPool.objects.get().cap == 1


def test_lowering_below_what_is_taken_is_a_plan_and_can_be_taken_back(programme: Programme) -> None:
    mo = sign_in(make_coordinator())
    page, post = shown(mo, cap_page(programme), {"cap": "0", "reason": "Ends."})
    assert "1 place has to end before" in page.content.decode()
    page = mo.post(cap_page(programme), post, follow=True)
    pool = SeatPool.objects.get()
    assert (pool.cap, pool.planned_cap, pool.taken) == (1, 0, 1)
    assert "sinks from 1 to 0" in page.content.decode()
    assert f"{cap_page(programme)}?cap=1" in page.content.decode()
    _page, post = shown(mo, cap_page(programme), {"cap": "1", "reason": "It goes on."})
    mo.post(cap_page(programme), post)
    assert SeatPool.objects.get().planned_cap is None


def test_change_is_planned_for_a_day_and_can_be_withdrawn(programme: Programme) -> None:
    mo = sign_in(make_coordinator())
    day = timezone.localdate() + timedelta(days=10)
    page, post = shown(mo, cap_page(programme), {"cap": "2", "reason": "More.", "starts_on": day.isoformat()})
    assert "What this would do today" in page.content.decode()
    page = mo.post(cap_page(programme), post, follow=True)
    assert said(page) == ["The change is planned. Until that day it can be withdrawn below."]
    change = CapChange.objects.get()
    assert (timezone.localtime(change.effective_at).date(), change.applied_at) == (day, None)
    address = reverse("admin:enrollment_seatpool_withdraw", args=[programme.pool.pk, change.pk])
    assert address in page.content.decode()
    assert [said(mo.post(address, follow=True)) for _ in range(2)] == [
        ["The planned change is withdrawn."],
        ["That change was not planned any more."],
    ]
    assert SeatPool.objects.get().cap == 1


def test_what_is_impossible_today_can_be_planned_and_the_page_says_so(programme: Programme) -> None:
    Share.objects.update(floor=1)
    SeatPool.objects.update(floors=1)
    day = timezone.localdate() + timedelta(days=10)
    form = {"cap": "0", "reason": "Ends.", "starts_on": day.isoformat()}
    page, post = shown(sign_in(make_coordinator()), cap_page(programme), form)
    assert "As things are today this could not be done:" in page.content.decode()
    assert "expected" in post


@pytest.mark.parametrize(
    ("day", "error"),
    [
        ("2020-01-01", "This day has passed. Leave the day empty to change it now."),
        ("9999-12-31", "This day is very far away. Check the year."),
        ("0001-01-01", "This day has passed. Leave the day empty to change it now."),
        ("soon", "Enter a valid date."),
    ],
)
def test_impossible_days_are_told(programme: Programme, day: str, error: str) -> None:
    page = sign_in(make_coordinator()).post(cap_page(programme), {"cap": "2", "reason": "More.", "starts_on": day})
    assert page.context["form"].errors == {"starts_on": [error]}


def test_coordinator_shares_out_the_places(programme: Programme) -> None:
    mo, share = sign_in(make_coordinator()), programme.pool.shares.get()
    form = {f"floor_{share.pk}": "1", f"ceiling_{share.pk}": "1", f"lends_{share.pk}": "", "reason": "As agreed."}
    assert "guaranteed" in mo.get(shares_page(programme)).content.decode()
    _page, post = shown(mo, shares_page(programme), form)
    page = mo.post(shares_page(programme), post, follow=True)
    share.refresh_from_db()
    assert (share.floor, share.ceiling, SeatPool.objects.get().floors) == (1, 1, 1)
    assert "1 guaranteed, 1 at most" in page.content.decode()


@pytest.mark.parametrize(
    ("floor", "ceiling", "error"),
    [
        ("2", "", "Together, the institutions are guaranteed more places than there would be."),
        ("1", "0", "An institution cannot be guaranteed more places than it may have at most."),
        (
            "0",
            "0",
            "An institution has more places now than this allows. Nobody loses a place: choose a higher number.",
        ),
        ("0", "", "That is how it is already."),
    ],
)
def test_impossible_shares_are_told(programme: Programme, floor: str, ceiling: str, error: str) -> None:
    pk = programme.pool.shares.get().pk
    form = {f"floor_{pk}": floor, f"ceiling_{pk}": ceiling, "reason": "As agreed."}
    page = sign_in(make_coordinator()).post(shares_page(programme), form)
    assert page.context["form"].errors == {"__all__": [error]}


@pytest.mark.parametrize(
    ("post", "errors"),
    [
        ({"cap": "1", "reason": "Again."}, {"cap": ["That is how it is already."]}),
        ({"cap": "2", "reason": "  "}, {"reason": ["This field is required."]}),
        ({"cap": "", "reason": "x"}, {"cap": ["This field is required."]}),
        ({"cap": "-1", "reason": "x"}, {"cap": ["Ensure this value is greater than or equal to 0."]}),
        ({"cap": "9" * 30, "reason": "x"}, {"cap": ["Ensure this value is less than or equal to 1000000."]}),
        ({"cap": "2", "reason": "x" * 501}, {"reason": ["Ensure this value has at most 500 characters (it has 501)."]}),
    ],
)
def test_obstacles_are_told_in_words(programme: Programme, post: dict[str, str], errors: dict[str, list[str]]) -> None:
    page = sign_in(make_coordinator()).post(cap_page(programme), post)
    assert page.context["form"].errors == errors
    assert SeatPool.objects.get().cap == 1


def test_floors_stand_in_the_way(programme: Programme) -> None:
    Share.objects.update(floor=1)
    page = sign_in(make_coordinator()).post(cap_page(programme), {"cap": "0", "reason": "Ends."})
    assert page.context["form"].errors["cap"] == [
        "Together, the institutions are guaranteed more places than there would be."
    ]


def test_librarian_sees_the_figures_and_cannot_change_them(programme: Programme) -> None:
    lin = sign_in(make_librarian())
    page = lin.get(reverse("admin:enrollment_seatpool_change", args=[programme.pool.pk]))
    assert page.status_code == 200
    assert cap_page(programme) not in page.content.decode()
    assert lin.get(cap_page(programme)).status_code == 403


def test_institution_outside_the_programme_still_has_the_page(programme: Programme) -> None:
    lin = sign_in(make_librarian(make_institution("halle"), "li@example.test"))
    page = lin.get(reverse("admin:enrollment_seatpool_change", args=[programme.pool.pk]))
    assert page.context["figures"].institutions == []
    assert page.context["figures"].total.waiting == 2


def test_coordinator_opens_the_places_of_a_programme(programme: Programme) -> None:
    halle = make_institution("halle")
    new = Programme.objects.create(slug="new", name="New", provider=programme.provider, opens_on=programme.opens_on)
    mo = sign_in(make_coordinator())
    page = reverse("admin:enrollment_seatpool_add")
    told = {"programme": new.pk, "cap": "50", "institutions": [halle.pk], "reason": "A second programme"}
    assert mo.post(page, told | {"reason": ""}).context["form"].errors.keys() == {"reason"}
    answer = mo.post(page, told)
    assert answer["Location"] == reverse("admin:enrollment_seatpool_change", args=[new.pool.pk])
    assert (new.pool.cap, list(new.pool.shares.values_list("institution__slug", flat=True))) == (50, ["halle"])
    assert mo.post(page, told).context["form"].errors.keys() == {"programme"}


def test_coordinator_lets_an_institution_take_part(programme: Programme) -> None:
    halle = make_institution("halle")
    page = reverse("admin:enrollment_seatpool_let_in", args=[programme.pool.pk])
    mo = sign_in(make_coordinator())
    assert list(mo.get(page).context["form"].fields["institutions"].queryset) == [halle]
    assert mo.post(page, {"apply": "yes"}).context["form"].errors.keys() == {"institutions"}
    mo.post(page, {"institutions": [halle.pk]})
    assert programme.pool.shares.filter(institution=halle).exists()


def test_only_a_coordinator_opens_places_or_lets_take_part(programme: Programme) -> None:
    li = sign_in(make_librarian(email="li@example.test"))
    let_in = reverse("admin:enrollment_seatpool_let_in", args=[programme.pool.pk])
    withdraw = reverse("admin:enrollment_seatpool_withdraw", args=[programme.pool.pk, 1])
    for page in (reverse("admin:enrollment_seatpool_add"), let_in, shares_page(programme), withdraw):
        assert (li.get(page).status_code, li.post(page, {}).status_code) == (403, 403)
