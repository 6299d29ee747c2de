"""Every error has a page of ours, in the visitor's language, that needs neither database nor session."""

import re
from collections.abc import Callable

import pytest
from django.conf import settings
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.urls import path

from portal import errors
from portal.urls import handler400, handler403, handler404, handler429, handler500
from portal.urls import urlpatterns as ours

__all__ = ["handler400", "handler403", "handler404", "handler429", "handler500"]


def fails_with(error: Exception) -> Callable[[HttpRequest], HttpResponse]:
    def view(request: HttpRequest) -> HttpResponse:
        raise error

    return view


# This module is the URLconf of the tests below: our own addresses, and some that fail.
urlpatterns = [
    *ours,
    path("fails/400", fails_with(SuspiciousOperation())),
    path("fails/403", fails_with(PermissionDenied())),
    path("fails/429", errors.too_many_requests),
    path("fails/500", fails_with(RuntimeError("secret of the house"))),
    path("fails/503", fails_with(OperationalError("secret of the house"))),
]
here = pytest.mark.urls(__name__)


@pytest.fixture
def client() -> Client:
    return Client(raise_request_exception=False)


@here
@pytest.mark.parametrize("status", [400, 403, 404, 429, 500, 503])
def test_error_has_a_page_with_a_way_on(client: Client, status: int) -> None:
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = "en"
    response = client.get(f"/fails/{status}")
    text = response.content.decode()
    assert response.status_code == status
    assert len(re.findall(r"<h1>[^<]+</h1>", text)) == 1
    assert 'lang="en"' in text
    assert 'class="button" href="/en/"' in text
    assert 'formaction="/language/?next=' in text
    assert "secret of the house" not in text


@here
def test_a_database_that_is_away_is_said_to_be_away_for_a_moment(client: Client) -> None:
    response = client.get("/fails/503")
    assert response["Retry-After"] == "60"


@here
@pytest.mark.parametrize(("address", "language"), [("/fr/no/such/page", "fr"), ("/no/such/page", "nl")])
def test_error_is_told_in_the_language_of_the_address(client: Client, address: str, language: str) -> None:
    response = client.get(address)
    assert (response.status_code, response["Content-Language"]) == (404, language)


def test_a_form_from_elsewhere_is_refused_kindly() -> None:
    client = Client(enforce_csrf_checks=True)
    response = client.post("/fr/join/", {"email": "ada@example.test"})
    assert response.status_code == 403
    assert '<form class="languages"' in response.content.decode()


def test_too_many_requests_is_the_page_allauth_calls() -> None:
    from allauth.core import ratelimit

    response = ratelimit.respond_429(RequestFactory().get("/en/accounts/login/"))
    assert (response.status_code, response["Content-Language"]) == (429, "en")
