"""A librarian sees and touches only their institution (promise 16)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from catalog.models import Programme, Provider, Tool
from enrollment import erasing, stuck
from enrollment.models import (
    Difference,
    Enrollment,
    Event,
    Letter,
    ProviderAccount,
    ProviderNotice,
    Reconciliation,
    SeatPool,
    Share,
)
from libraries.models import Card, Institution, Library, LibrarySystem, Roster, RosterEntry, StaffRole, User
from tests import provider_scenes
from tests.factories import make_coordinator, make_librarian, make_library, make_staff, make_tool
from tests.workplace import CANARIES, Scene, make_scene, sign_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def scene() -> Scene:
    scene = make_scene()
    provider_scenes.make_disagreeing(ProviderAccount.objects.get(user=scene.cy.user), now=timezone.now())
    make_tool(scene.programme.provider)
    return scene


@pytest.fixture
def lin(scene: Scene) -> Client:
    return sign_in(make_librarian(scene.own))


DECISIONS = ("repair", "leave", "trust")
REMEDIES = ("try_again", "give_up", "mark_done")
# The pages of one application.
SINGLE = ("act", "merge", "erase", "card", "look_up", "address", "sheet")


def addresses() -> Iterator[str]:
    """Every page of every list and of every row there is, whoever it belongs to, and the pages beside them."""
    yield from (reverse("admin:index"), reverse("admin:enrollment_enrollment_disputes"))
    yield reverse("admin:enrollment_enrollment_desk")
    yield reverse("admin:catalog_course_import")
    yield from (reverse("admin:libraries_roster_upload"), reverse("admin:jsi18n"), reverse("admin:password_change"))
    for label in ("catalog", "enrollment", "libraries"):
        yield reverse("admin:app_list", args=[label])
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        yield from (reverse(f"{name}_changelist"), reverse(f"{name}_add"))
        for pk in model._default_manager.values_list("pk", flat=True):
            yield from (reverse(f"{name}_{page}", args=[pk]) for page in ("change", "history", "delete"))
    for pk in Enrollment.objects.values_list("pk", flat=True):
        yield from (reverse(f"admin:enrollment_enrollment_{page}", args=[pk]) for page in SINGLE)
    for pk in LibrarySystem.objects.values_list("pk", flat=True):
        yield reverse("admin:libraries_librarysystem_test", args=[pk])
    for pk in Provider.objects.values_list("pk", flat=True):
        yield from (reverse(f"admin:catalog_provider_{page}", args=[pk]) for page in ("test", "try_now"))
        yield reverse("admin:enrollment_reconciliation_compare", args=[pk])
    for pk in Tool.objects.values_list("pk", flat=True):
        yield reverse("admin:catalog_tool_test", args=[pk])
    for pk in Reconciliation.objects.values_list("pk", flat=True):
        yield from (reverse("admin:enrollment_reconciliation_decide", args=[pk, what]) for what in DECISIONS)
    for pk in Programme.objects.values_list("pk", flat=True):
        yield from (reverse(f"admin:catalog_programme_{page}", args=[pk]) for page in ("rotation", "replace", "module"))
    for pool in SeatPool.objects.all():
        yield from (reverse(f"admin:enrollment_seatpool_{page}", args=[pool.pk]) for page in ("cap", "close", "reopen"))
    for pk in ProviderAccount.objects.values_list("pk", flat=True):
        yield reverse("admin:enrollment_provideraccount_remedy", args=[pk, "try_again"])
    for pk in Letter.objects.values_list("pk", flat=True):
        yield reverse("admin:enrollment_letter_remedy", args=[pk, "give_up"])


def questions(scene: Scene) -> Iterator[str]:
    """What somebody could ask a list about rows that are out of sight."""
    applications = reverse("admin:enrollment_enrollment_changelist")
    library = Library.objects.get(name="Kanariebib")
    for query in (
        f"card__library__id__exact={library.pk}",
        f"pool__programme__id__exact={scene.programme.pk}",
        "user__email__startswith=zeldzaa",
        "card__number__startswith=9988776",
        f"share__institution__id__exact={scene.foreign.pk}",
        "q=eldzaa",
        "todo=check",
        "todo=dispute",
        "all=",
        "_popup=1",
        "_to_field=id",
        "_facets=True",
        "o=1.-2",
    ):
        yield f"{applications}?{query}"
    for model in ("library", "roster"):
        yield f"{reverse(f'admin:libraries_{model}_changelist')}?institution__id__exact={scene.foreign.pk}"
    yield f"{reverse('admin:enrollment_share_changelist')}?institution__id__exact={scene.foreign.pk}"


@pytest.mark.parametrize(
    "question",
    [
        "pool__programme__pool__enrollments__user__email__startswith=zeldzaam",
        "card__library__institution__shares__pool__enrollments__card__number__startswith=9988",
    ],
)
def test_filter_cannot_be_led_on_to_rows_out_of_sight(scene: Scene, lin: Client, question: str) -> None:
    address = reverse("admin:enrollment_enrollment_changelist")
    assert lin.get(f"{address}?{question}").status_code == 400


def test_filters_of_the_list_still_work(scene: Scene, lin: Client) -> None:
    address = reverse("admin:enrollment_enrollment_changelist")
    questions = {
        f"card__library__id__exact={scene.ada.card.library_id}": 2,
        f"pool__programme__id__exact={scene.programme.pk}": 2,
        "card__state__exact=disputed": 1,
        "state__exact=held": 1,
    }
    found = {query: lin.get(f"{address}?{query}").context["cl"].result_count for query in questions}
    assert found == questions


def test_crawler_as_a_librarian_finds_no_canary(scene: Scene, lin: Client) -> None:
    found = []
    for address in [*addresses(), *questions(scene)]:
        response = lin.get(address, follow=True)
        html = response.content.decode()
        found += [(address, canary) for canary in CANARIES if canary.lower() in html.lower()]
        assert response.status_code in ((200, 400) if "?" in address else (200, 403, 404)), address
    assert found == []


def test_crawler_would_find_the_canaries(scene: Scene) -> None:
    """Shown able to fail: the coordinator, who may, comes across every one of them."""
    mo = sign_in(make_coordinator())
    html = "".join(mo.get(address, follow=True).content.decode().lower() for address in addresses())
    assert [canary for canary in CANARIES if canary.lower() not in html] == []


def test_search_finds_no_foreign_rows(scene: Scene, lin: Client) -> None:
    applications = reverse("admin:enrollment_enrollment_changelist")
    for words in ("Zeldzaam", "99887766", "zeldzaam.kanarie@example.test"):
        html = lin.post(applications, {"look_for": words}, follow=True).content.decode()
        assert "Kanariebib" not in html
        assert reverse("admin:enrollment_enrollment_change", args=[scene.cy.pk]) not in html


def test_foreign_rows_are_as_if_they_were_not_there(scene: Scene, lin: Client) -> None:
    foreign = {
        "enrollment_enrollment": scene.cy.pk,
        "libraries_institution": scene.foreign.pk,
        "libraries_library": Library.objects.get(institution=scene.foreign).pk,
        "libraries_roster": scene.rosters[1].pk,
        "libraries_librarysystem": LibrarySystem.objects.get(institution=scene.foreign).pk,
        "enrollment_share": scene.cy.share_id,
        "enrollment_event": Event.objects.filter(institution_id=scene.foreign.pk).latest("pk").pk,
        "enrollment_letter": Letter.objects.filter(enrollment=scene.cy).latest("pk").pk,
    }
    for name, pk in foreign.items():
        answers = [lin.get(reverse(f"admin:{name}_change", args=[each])) for each in (pk, 999_999)]
        assert [(answer.status_code, answer.headers["Location"]) for answer in answers] == [(302, "/en/admin/")] * 2


def everything() -> dict[str, list[tuple[Any, ...]]]:
    """Every row of ours, to see that nothing has changed."""
    models = [
        model for label in ("catalog", "enrollment", "libraries") for model in apps.get_app_config(label).get_models()
    ]
    return {
        model._meta.label: list(model._default_manager.order_by("pk").values_list())
        for model in models
        if model is not User
    }


def forged(scene: Scene) -> Iterator[tuple[str, dict[str, Any]]]:
    applications, pk = reverse("admin:enrollment_enrollment_changelist"), str(scene.cy.pk)
    for action, more in (
        ("confirm_cards", {}),
        ("refuse_cards", {"apply": "yes", "reason": "unknown"}),
        ("end_applications", {"apply": "yes", "words": "Moved."}),
    ):
        yield applications, {"action": action, "_selected_action": pk, "index": "0", **more}
        yield (
            applications,
            {"action": action, "_selected_action": pk, "select_across": "1", "index": "0", "x": "", **more},
        )
        yield reverse("admin:enrollment_enrollment_act", args=[pk]), {"action": action, **more}
    yield applications, {"action": "delete_selected", "_selected_action": pk, "post": "yes", "index": "0"}
    yield reverse("admin:enrollment_enrollment_disputes"), {"card": str(scene.cy.card_id)}
    both = {"other_id": str(scene.cy.user_id), "keep": str(scene.cy.user_id), "words": "The same."}
    yield from ((reverse("admin:enrollment_enrollment_merge", args=[each]), both) for each in (pk, scene.ada.pk))
    yield from (
        (reverse("admin:enrollment_enrollment_look_up", args=[each]), {"card": str(scene.cy.card_id)})
        for each in (pk, scene.ada.pk)
    )
    for system in LibrarySystem.objects.filter(institution=scene.foreign).values_list("pk", flat=True):
        yield reverse("admin:libraries_librarysystem_test", args=[system]), {"kind": "sip2", "number": "1", "pin": "1"}
    for page in ("test", "try_now"):
        yield reverse(f"admin:catalog_provider_{page}", args=[scene.programme.provider_id]), {}
    yield from forged_of_providers(scene)
    pool = scene.programme.pool.pk
    yield reverse("admin:enrollment_seatpool_cap", args=[pool]), {"cap": "50", "reason": "More.", "apply": "yes"}
    letters = reverse("admin:enrollment_letter_changelist")
    for letter in Letter.objects.filter(user=scene.cy.user).values_list("pk", flat=True):
        for remedy in ("try_again", "give_up"):
            yield reverse("admin:enrollment_letter_remedy", args=[letter, remedy]), {}
            yield letters, {"action": remedy, "_selected_action": str(letter), "index": "0"}
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        for each in model._default_manager.values_list("pk", flat=True):
            yield (
                reverse(f"{name}_change", args=[each]),
                {"institution": str(scene.own.pk), "name": "Mine", "_save": "1"},
            )
            yield reverse(f"{name}_delete", args=[each]), {"post": "yes"}
        yield reverse(f"{name}_add"), {"institution": str(scene.foreign.pk), "name": "Mine", "email": "me@example.test"}


def forged_of_providers(scene: Scene) -> Iterator[tuple[str, dict[str, Any]]]:
    """Also with what a preview would have shown."""
    account, accounts = ProviderAccount.objects.get(user=scene.cy.user).pk, "admin:enrollment_provideraccount"
    seen = {"expected": stuck.foresee([account]).fingerprint}
    for remedy in REMEDIES:
        yield reverse(f"{accounts}_remedy", args=[account, remedy]), seen
        yield (
            reverse(f"{accounts}_changelist"),
            {"action": remedy, "_selected_action": str(account), "index": "0", **seen},
        )
    yield reverse("admin:enrollment_reconciliation_compare", args=[scene.programme.provider_id]), {}
    for difference in Difference.objects.all():
        for what in DECISIONS:
            address = reverse("admin:enrollment_reconciliation_decide", args=[difference.reconciliation_id, what])
            yield address, {"difference": difference.pk}
            yield address, {"kind": difference.kind, "sure": "yes"}
    plan = erasing.preview(user_id=scene.cy.user_id, by=scene.cy.user)
    wish = {"expected": plan.fingerprint, "reason": "asked_at_desk"}
    yield reverse("admin:enrollment_enrollment_erase", args=[scene.cy.pk]), wish


def roster_for(institution: Institution) -> dict[str, Any]:
    file = SimpleUploadedFile("cards.csv", b"number;valid_until;birth_date\n123;2030-01-01;1990-01-01\n")
    return {"institution": str(institution.pk), "file": file, "apply": "yes"}


def test_forged_posts_of_a_librarian_change_nothing(scene: Scene, lin: Client) -> None:
    before = everything()
    posts = [post for post in forged(scene) if post[1].get("select_across") is None]
    for address, data in [*posts, (reverse("admin:libraries_roster_upload"), roster_for(scene.foreign))]:
        lin.post(address, data, follow=True)
        assert everything() == before, address


def test_choosing_all_means_all_of_ones_own(scene: Scene, lin: Client) -> None:
    post = {"action": "confirm_cards", "_selected_action": str(scene.cy.pk), "select_across": "1", "index": "0"}
    lin.post(reverse("admin:enrollment_enrollment_changelist"), post)
    states = dict(Card.objects.values_list("pk", "state"))
    assert states[scene.ada.card_id] == Card.State.CONFIRMED
    assert states[scene.cy.card_id] == Card.State.CLAIMED


def test_auditor_sees_all_and_does_nothing(scene: Scene) -> None:
    ann = sign_in(make_staff("ann@example.test", StaffRole.Role.AUDITOR))
    page = ann.get(reverse("admin:enrollment_enrollment_change", args=[scene.cy.pk])).content.decode()
    assert "Zeldzaam Kanarie" in page
    assert "confirm_cards" not in page
    before = everything()
    for address, data in [*forged(scene), (reverse("admin:libraries_roster_upload"), roster_for(scene.own))]:
        ann.post(address, data, follow=True)
        assert everything() == before, address
    assert User.objects.filter(email="me@example.test").count() == 0


def test_operator_decides_about_no_cards(scene: Scene) -> None:
    before = Card.objects.order_by("pk").values_list("pk", "state")
    oz = sign_in(make_staff("oz@example.test", StaffRole.Role.OPERATOR))
    for address, data in forged(scene):
        oz.post(address, data, follow=True)
    assert list(Card.objects.order_by("pk").values_list("pk", "state")) == list(before)
    assert SeatPool.objects.get().cap == 1
    assert RosterEntry.objects.count() == 0


def test_superuser_cannot_write_by_hand_what_operations_decide(scene: Scene) -> None:
    root = sign_in(User.objects.create_superuser("root@example.test"))
    guarded = (Enrollment, SeatPool, Share, ProviderAccount, ProviderNotice, Letter, Event, Roster)
    for model in guarded:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        if model is not SeatPool:  # opened by an operation, see test_pools
            assert root.get(reverse(f"{name}_add")).status_code == 403
        row = model._default_manager.latest("pk")
        assert root.post(reverse(f"{name}_change", args=[row.pk]), {"taken": "0"}).status_code == 403


def test_choices_of_a_form_are_those_in_sight(scene: Scene, rf: Any) -> None:
    request = rf.get("/")
    request.user = make_librarian(scene.own, "li@example.test")
    make_library("Bist", scene.own)
    libraries: Any = admin.site.get_model_admin(Library)
    choices = libraries.formfield_for_foreignkey(Library._meta.get_field("institution"), request)
    assert list(choices.queryset) == [scene.own]
    people = libraries.formfield_for_foreignkey(StaffRole._meta.get_field("user"), request)
    assert list(people.queryset) == []
