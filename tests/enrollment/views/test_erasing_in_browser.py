"""Erase my data in a browser: from my place to the proof, on a phone and on a screen, with a clean console."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from enrollment.models import Erasure
from tests.enrollment.views.visiting import sign_in
from tests.factories import make_library, make_member, make_programme

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("width", [360, 1280])
def test_from_my_place_to_the_proof(page: Page, live_server: LiveServer, width: int) -> None:
    make_library()
    make_member(programme=make_programme(name="Leren"), now=timezone.now())
    client, said = Client(), list[str]()
    sign_in(client, then="/en/my/")
    page.context.add_cookies([{"name": "session", "value": client.cookies["session"].value, "url": live_server.url}])
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(f"{live_server.url}/en/my/")
    page.get_by_role("link", name="Erase my data").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Do you want us to erase your data?")
    fits = [page.evaluate("document.documentElement.scrollWidth <= innerWidth")]
    page.get_by_role("button", name="Erase my data").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("The data are being erased")
    fits.append(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))
    assert page.url == f"{live_server.url}/en/erased/{Erasure.objects.get().code}/"
    assert (fits, said) == ([True, True], [])
