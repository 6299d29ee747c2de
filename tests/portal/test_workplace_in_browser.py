"""The workplace as Chromium sees it: every page, with a strict policy and a clean console."""

from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import ConsoleMessage, Page, expect
from pytest_django.live_server_helper import LiveServer

from catalog.models import Tool
from enrollment.models import ProviderAccount, Reconciliation
from libraries.cards.checks import Answer, Outcome, Step, StepName, Trouble, Walk
from libraries.models import User
from tests import provider_scenes
from tests.card_systems import answer_in_place_of
from tests.enrollment.launch.learners import begin
from tests.enrollment.views.shelf_of_courses import make_course
from tests.factories import make_coordinator, make_librarian, make_system, make_tool
from tests.workplace import Scene, make_scene, sign_in

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

WIDTHS = (1280, 360)


@pytest.fixture
def scene() -> Scene:
    scene = make_scene()
    provider_scenes.make_busy(scene.programme.provider, now=timezone.now())
    provider_scenes.make_disagreeing(ProviderAccount.objects.get(user=scene.cy.user), now=timezone.now())
    make_tool(scene.programme.provider, deep_linking_url="https://tool.test/pick")
    return scene


def pages_of(scene: Scene) -> list[str]:
    lists = [
        *("catalog_provider", "catalog_programme", "catalog_area", "catalog_course", "catalog_listing", "catalog_tool"),
        "enrollment_signonclient",
        *("libraries_institution", "libraries_library", "libraries_librarysystem", "libraries_user"),
    ]
    account = ProviderAccount.objects.latest("pk")
    return [
        reverse("admin:index"),
        reverse("admin:password_change"),
        *(reverse(f"admin:{name}_changelist") for name in lists),
        *(reverse(f"admin:{name}_add") for name in lists),
        *(
            reverse(f"admin:enrollment_{name}_changelist")
            for name in ("enrollment", "seatpool", "share", "provideraccount", "letter", "event", "reconciliation")
        ),
        reverse("admin:libraries_roster_changelist"),
        reverse("admin:libraries_roster_upload"),
        reverse("admin:libraries_roster_change", args=[scene.rosters[0].pk]),
        reverse("admin:libraries_institution_change", args=[scene.own.pk]),
        reverse("admin:libraries_institution_history", args=[scene.own.pk]),
        reverse("admin:libraries_librarysystem_change", args=[scene.own.system.pk]),
        reverse("admin:libraries_librarysystem_test", args=[scene.own.system.pk]),
        reverse("admin:catalog_provider_change", args=[scene.programme.provider_id]),
        reverse("admin:catalog_provider_test", args=[scene.programme.provider_id]),
        *(reverse(f"admin:catalog_tool_{page}", args=[Tool.objects.get().pk]) for page in ("change", "test")),
        reverse("admin:catalog_programme_change", args=[scene.programme.pk]),
        *(
            reverse(f"admin:catalog_programme_{page}", args=[scene.programme.pk])
            for page in ("rotation", "replace", "module")
        ),
        reverse("admin:catalog_course_import"),
        reverse("admin:enrollment_enrollment_disputes"),
        reverse("admin:enrollment_enrollment_priorities"),
        reverse("admin:enrollment_enrollment_change", args=[scene.ada.pk]),
        reverse("admin:enrollment_enrollment_erase", args=[scene.ada.pk]),
        reverse("admin:enrollment_seatpool_change", args=[scene.programme.pool.pk]),
        reverse("admin:enrollment_seatpool_cap", args=[scene.programme.pool.pk]),
        reverse("admin:enrollment_seatpool_close", args=[scene.programme.pool.pk]),
        reverse("admin:enrollment_seatpool_reopen", args=[scene.programme.pool.pk]),
        reverse("admin:enrollment_provideraccount_change", args=[account.pk]),
        *(
            reverse("admin:enrollment_reconciliation_change", args=[run])
            for run in Reconciliation.objects.order_by("-pk").values_list("pk", flat=True)[:2]
        ),
    ]


def go_in(page: Page, live_server: LiveServer, user: User) -> list[str]:
    """Signed in; what the console says is collected in the list."""
    cookie = sign_in(user).cookies["session"].value
    page.context.add_cookies([{"name": "session", "value": cookie, "url": live_server.url}])
    said: list[str] = []

    def note(message: ConsoleMessage) -> None:
        said.append(f"{page.url}: {message.text}")

    page.on("console", note)
    page.on("pageerror", lambda error: said.append(f"{page.url}: {error}"))
    return said


@pytest.mark.parametrize("width", WIDTHS)
def test_workplace_pages_leave_the_console_clean_and_fit(
    page: Page, live_server: LiveServer, scene: Scene, width: int
) -> None:
    said = go_in(page, live_server, User.objects.create_superuser("root@example.test"))
    page.set_viewport_size({"width": width, "height": 800})
    too_wide = []
    for path in pages_of(scene):
        response = page.goto(live_server.url + path)
        assert response is not None
        assert response.status == 200, path
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            too_wide.append(path)
    assert said == []
    assert too_wide == []


def test_courses_followed_are_a_list_on_a_phone(page: Page, live_server: LiveServer, scene: Scene) -> None:
    begin(scene.ada, make_course("Tweestapsverificatie" * 2))
    said = go_in(page, live_server, make_coordinator())
    page.set_viewport_size({"width": 360, "height": 800})
    page.goto(f"{live_server.url}/en/admin/enrollment/enrollment/courses/")
    row = page.get_by_role("row", name="Tweestapsverificatie")
    told = [" ".join(cell.split()) for cell in row.get_by_role("cell").all_inner_texts()]
    assert told == ["Started 1", "Finished 0", "Progress (median) –", f"Programme {scene.programme.name}"]
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
    assert page.evaluate("[...document.querySelectorAll('main *')].every(each => each.scrollWidth <= innerWidth)")
    assert said == []


def test_librarian_at_work_with_a_clean_console(page: Page, live_server: LiveServer, scene: Scene) -> None:
    said = go_in(page, live_server, make_librarian(scene.own))
    page.goto(f"{live_server.url}/en/admin/")
    page.get_by_role("link", name="card to check").click()
    page.locator("#result_list tbody input[type=checkbox]").check()
    page.get_by_label("Action:").select_option("refuse_cards")
    page.get_by_role("button", name="Run").or_(page.get_by_role("button", name="Go")).click()
    page.get_by_label("The card is no longer valid.").check()
    page.get_by_role("button", name="Refuse the card").click()
    assert page.locator(".messagelist").inner_text() == "1 card is refused."

    page.goto(f"{live_server.url}/en/admin/enrollment/enrollment/")
    page.get_by_label("Search").fill("bo@example.test")
    page.get_by_role("button", name="Search").click()
    assert "bo%40" not in page.url
    assert "bo@" not in page.url
    page.locator("#result_list tbody a").click()
    page.get_by_role("button", name="Confirm the card").click()
    assert page.locator(".messagelist").inner_text() == "1 card is confirmed."
    assert page.locator(".path b").all_inner_texts()[-1] == "Place given"

    page.goto(f"{live_server.url}/en/admin/libraries/roster/upload/")
    content = b"number;valid_until;birth_date\n21000001;2030-12-31;1990-05-18\n;2030-12-31;1990-05-18\n"
    page.set_input_files("input[type=file]", {"name": "cards.csv", "mimeType": "text/csv", "buffer": content})
    page.get_by_role("button", name="Send the file").click()
    assert page.locator("#report").inner_text() == "Checked: nothing has changed"
    assert said == []


@pytest.mark.parametrize("width", WIDTHS)
def test_librarian_tests_the_library_system_and_asks_it_about_a_card(
    page: Page, live_server: LiveServer, scene: Scene, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_system(scene.own)
    failed = Walk((Step(StepName.CONNECT), Step(StepName.TLS, Trouble.TLS_EXPIRED)))
    system = answer_in_place_of("sip2", monkeypatch)
    said = go_in(page, live_server, make_librarian(scene.own))
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(f"{live_server.url}/en/admin/libraries/librarysystem/{scene.own.system.pk}/change/")
    page.get_by_role("button", name="Test it now").click()
    expect(page.locator(".walk .tag")).to_have_text(["works"])

    monkeypatch.setattr(system, "walk", lambda question: failed)
    page.get_by_label("Number of a test card").fill("2199 0001")
    page.get_by_label("PIN of the test card").fill("1234")
    page.get_by_role("button", name="Test it now").click()
    expect(page.locator(".walk .tag")).to_have_text(["works", "failed"])
    assert page.get_by_label("PIN of the test card").input_value() == ""
    assert "2199" not in page.url
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")

    monkeypatch.setattr(system, "walk", lambda question: Walk(failed.steps[:1], Answer(Outcome.CONFIRMED)))
    page.goto(f"{live_server.url}/en/admin/enrollment/enrollment/{scene.ada.pk}/change/")
    page.get_by_role("button", name="Ask the library system about this card").click()
    assert page.locator(".notice b").inner_text() == "The card is known and good."
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
    page.get_by_role("button", name="Confirm the card").click()
    assert page.locator(".messagelist").inner_text() == "1 card is confirmed."
    assert said == []


@pytest.mark.parametrize("width", WIDTHS)
def test_coordinator_puts_two_accounts_together(page: Page, live_server: LiveServer, scene: Scene, width: int) -> None:
    said = go_in(page, live_server, make_coordinator())
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(f"{live_server.url}/en/admin/enrollment/enrollment/{scene.ada.pk}/change/")
    page.get_by_role("link", name="Same person as…").click()
    page.get_by_label("The other application or account").fill("bo@example.test")
    page.get_by_role("button", name="Compare the two").click()
    assert "bo@" not in page.url
    assert page.get_by_label("ada@example.test").is_checked()
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
    page.get_by_label("How do you know").fill("Came to the desk with the card.")
    page.get_by_role("button", name="Put the two together").click()
    assert page.locator(".messagelist").inner_text() == "The two accounts are one now."
    assert said == []


@pytest.mark.parametrize("width", WIDTHS)
def test_coordinator_repairs_all_of_a_kind_and_leaves_one(
    page: Page, live_server: LiveServer, scene: Scene, width: int
) -> None:
    account = ProviderAccount.objects.filter(user=scene.cy.user)
    account.update(must_be_active=True, due_at=None, stuck_at=None, seen="unknown", seen_at=None)
    said = go_in(page, live_server, make_coordinator())
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(f"{live_server.url}/en/admin/enrollment/reconciliation/")
    page.locator("#result_list tbody th a").first.click()
    page.locator("article", has_text="Closed there").get_by_role("button", name="Repair all 3…").click()
    assert page.locator(".lead").inner_text().endswith("This is done for 3 accounts.")
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
    page.get_by_role("button", name="Yes, repair them").click()
    assert page.locator(".messagelist").inner_text() == "3 differences are being repaired."
    assert account.get().due_at is not None
    page.locator("article", has_text="Taken over by somebody else").get_by_role("link").click()
    page.locator("tbody").get_by_role("button", name="Leave").first.click()
    assert page.locator(".messagelist").inner_text() == "1 difference is left as it is."
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
    assert said == []
