"""The workplace as Chromium sees it: every page, with a strict policy and a clean console."""

from __future__ import annotations

import pytest
from django.urls import reverse
from playwright.sync_api import ConsoleMessage, Page
from pytest_django.live_server_helper import LiveServer

from enrollment.models import ProviderAccount
from libraries.models import User
from tests.workplace import Scene, make_scene, sign_in

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

WIDTHS = (1280, 360)


@pytest.fixture
def scene() -> Scene:
    return make_scene()


def pages_of(scene: Scene) -> list[str]:
    lists = [
        *("catalog_provider", "catalog_programme", "catalog_area", "catalog_course", "catalog_listing"),
        *("libraries_institution", "libraries_library", "libraries_user"),
    ]
    account = ProviderAccount.objects.latest("pk")
    return [
        reverse("admin:index"),
        reverse("admin:password_change"),
        *(reverse(f"admin:{name}_changelist") for name in lists),
        *(reverse(f"admin:{name}_add") for name in lists),
        *(
            reverse(f"admin:enrollment_{name}_changelist")
            for name in ("enrollment", "seatpool", "share", "provideraccount", "letter", "event")
        ),
        reverse("admin:libraries_roster_changelist"),
        reverse("admin:libraries_roster_upload"),
        reverse("admin:libraries_roster_change", args=[scene.rosters[0].pk]),
        reverse("admin:libraries_institution_change", args=[scene.own.pk]),
        reverse("admin:libraries_institution_history", args=[scene.own.pk]),
        reverse("admin:catalog_programme_change", args=[scene.programme.pk]),
        reverse("admin:enrollment_enrollment_disputes"),
        reverse("admin:enrollment_enrollment_change", args=[scene.ada.pk]),
        reverse("admin:enrollment_seatpool_change", args=[scene.programme.pool.pk]),
        reverse("admin:enrollment_seatpool_cap", args=[scene.programme.pool.pk]),
        reverse("admin:enrollment_provideraccount_change", args=[account.pk]),
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
