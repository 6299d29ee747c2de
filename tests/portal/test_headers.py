"""Strict headers on every kind of answer, and nothing in a page that the policy would have to stop."""

import re

import pytest
from django.test import Client

from tests.enrollment.views.shelf_of_courses import make_course, offer_course
from tests.factories import make_institution, make_library, make_programme

POLICY = (
    "base-uri 'none'; default-src 'self'; form-action 'self'; frame-ancestors 'none'; img-src 'self' data:; "
    "object-src 'none'"
)
PAGES = [
    "/",
    "/fr/courses/",
    "/courses/spaans-voor-beginners/",
    "/en/help/",
    "/privacy/",
    "/accessibility/",
    "/healthz",
    "/readyz",
    "/theme/antwerpen.css",
    "/no/such/page",
    "/accounts/login/",
    "/admin/",
    "/my/courses/",
]


@pytest.fixture
def site(db: None) -> None:
    make_library(institution=make_institution("antwerpen"))
    offer_course(make_programme(), make_course())


@pytest.mark.parametrize("path", PAGES)
def test_headers_are_strict_everywhere(client: Client, site: None, path: str) -> None:
    headers = client.get(path).headers
    assert "; ".join(sorted(headers["Content-Security-Policy"].split("; "))) == POLICY
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"


@pytest.mark.parametrize("path", PAGES[:6] + PAGES[9:10])
def test_page_has_nothing_inline_and_nothing_from_elsewhere(client: Client, site: None, path: str) -> None:
    text = client.get(path).content.decode()
    # Data in a script element is not run; canonical addresses and those of other languages are not fetched.
    data, named = r'<script type="application/ld\+json">.*?</script>', r'<link rel="(?:canonical|alternate)"[^>]*>'
    text = re.sub(f"{data}|{named}", "", text)
    assert re.findall(r"<style|<script(?![^>]*\bsrc=)|\bstyle=|\son\w+=|javascript:", text) == []
    assert re.findall(r'(?:src|<link[^>]*href|<use href)="(?!/)[^"]*"', text) == []


@pytest.mark.parametrize("path", PAGES[:6])
def test_a_stranger_who_reads_gets_no_cookie(client: Client, site: None, path: str) -> None:
    client.get(path)
    assert set(client.cookies) == set()


def test_a_stranger_with_a_form_gets_only_the_cookie_against_forged_ones(client: Client, site: None) -> None:
    client.get("/join/")
    assert set(client.cookies) == {"csrf"}
    assert client.cookies["csrf"]["httponly"] is True
