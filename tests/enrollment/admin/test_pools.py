from __future__ import annotations

import pytest
from django.urls import reverse

from catalog.models import Programme
from enrollment.models import CapChange, Enrollment, Event, EventNote, SeatPool
from tests.factories import (
    make_coordinator,
    make_institution,
    make_librarian,
    make_library,
    make_member,
    make_programme,
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


def cap_page(programme: Programme) -> str:
    return reverse("admin:enrollment_seatpool_cap", args=[programme.pool.pk])


def test_coordinator_sees_who_waits_before_raising(programme: Programme) -> None:
    page = sign_in(make_coordinator()).get(cap_page(programme))
    total = page.context["figures"].total
    assert (total.cap, total.taken, total.free, total.waiting) == (1, 1, 0, 2)


def test_raising_gives_the_next_in_line_their_places(programme: Programme) -> None:
    mo = make_coordinator(first_name="Mo", last_name="Janssens")
    post = {"cap": "2", "reason": "The city pays for more."}
    page = sign_in(mo).post(cap_page(programme), post, follow=True)
    assert page.redirect_chain == [(reverse("admin:enrollment_seatpool_change", args=[programme.pool.pk]), 302)]
    assert [str(each) for each in page.context["messages"]] == [
        "The number of places is changed: 1 person in the queue got a place."
    ]
    assert Enrollment.objects.holding_seats().count() == 2
    change = CapChange.objects.get()
    assert (change.old_cap, change.new_cap, change.by, change.reason) == (1, 2, mo, "The city pays for more.")
    assert "Mo Janssens" in page.content.decode()
    assert EventNote.objects.get(event__kind=Event.Kind.CAP_CHANGED).words == "The city pays for more."


def test_lowering_below_what_is_taken_is_a_plan(programme: Programme) -> None:
    page = sign_in(make_coordinator()).post(cap_page(programme), {"cap": "0", "reason": "Ends."}, follow=True)
    pool = SeatPool.objects.get()
    assert (pool.cap, pool.planned_cap, pool.taken) == (1, 0, 1)
    assert "sinks from 1 to 0" in page.content.decode()


@pytest.mark.parametrize(
    ("post", "errors"),
    [
        ({"cap": "1", "reason": "Again."}, {"cap": ["That is the number of places already."]}),
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
    SeatPool.objects.update(floors=1)
    page = sign_in(make_coordinator()).post(cap_page(programme), {"cap": "0", "reason": "Ends."})
    assert page.context["form"].errors["cap"] == ["The institutions are guaranteed more places than that."]


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
    for page in (reverse("admin:enrollment_seatpool_add"), let_in):
        assert (li.get(page).status_code, li.post(page, {}).status_code) == (403, 403)
