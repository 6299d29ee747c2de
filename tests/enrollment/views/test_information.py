import re

import pytest
from django.test import Client

from enrollment.privacy import PRIVACY_TEXT_VERSION
from enrollment.templatetags.shelf import in_language
from libraries.colors import accent_for
from tests.factories import make_institution

PAGES = ["/help/", "/privacy/", "/accessibility/"]


@pytest.mark.django_db(databases=[])
@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("language", ["", "/fr", "/en"])
def test_information_needs_no_database_for_a_stranger(client: Client, path: str, language: str) -> None:
    text = client.get(language + path).content.decode()
    assert len(re.findall("<h1>", text)) == 1
    for other in PAGES:
        assert f'href="{language}{other}"' in text


def test_privacy_names_its_version_and_the_cookies(client: Client) -> None:
    text = client.get("/en/privacy/").content.decode()
    assert f"Text of version {PRIVACY_TEXT_VERSION}." in text
    assert re.findall(r'<th scope="row">(\w+)</th>', text) == ["session", "csrf", "language"]


@pytest.mark.django_db
def test_theme_is_the_institutions_color_made_legible(client: Client) -> None:
    make_institution("muntpunt", color="#ffe600")
    response = client.get("/theme/muntpunt.css")
    shades = accent_for("#ffe600")
    assert response["Content-Type"] == "text/css; charset=utf-8"
    assert set(response["Cache-Control"].split(", ")) == {"max-age=3600", "public"}
    assert f"--accent: {shades.light}; --accent-ink: {shades.ink_light};" in response.content.decode()
    assert f"--accent: {shades.dark}; --accent-ink: {shades.ink_dark};" in response.content.decode()


@pytest.mark.django_db
def test_theme_of_nobody_is_not_found(client: Client) -> None:
    assert client.get("/theme/nobody.css").status_code == 404


@pytest.mark.parametrize(
    ("address", "code", "expected"),
    [
        ("/", "fr", "/fr/"),
        ("/fr/", "nl", "/"),
        ("/fr/courses/?area=home", "en", "/en/courses/?area=home"),
        ("/courses/", "nl", "/courses/"),
        ("/fr", "nl", "/"),
        ("/french/", "nl", "/french/"),
        ("/fr?a=1", "en", "/en/?a=1"),
        ("/en/no/such/page", "fr", "/fr/no/such/page"),
        ("/lti/authorize?a=1", "fr", "/lti/authorize?a=1"),
        ("/openid/authorize?a=1", "en", "/openid/authorize?a=1"),
    ],
)
def test_every_address_has_its_like_in_another_language(address: str, code: str, expected: str) -> None:
    assert in_language(address, code) == expected
