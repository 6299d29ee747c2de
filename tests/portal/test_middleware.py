"""The language a visitor chose is remembered, and only that one."""

import pytest
from django.conf import settings
from django.test import Client

pytestmark = pytest.mark.django_db

COOKIE = settings.LANGUAGE_COOKIE_NAME


def test_first_visit_is_dutch_whatever_the_browser_says(client: Client) -> None:
    response = client.get("/help/", headers={"accept-language": "fr,en;q=0.8"})
    assert (response.status_code, response["Content-Language"]) == (200, "nl")
    assert "Cookie" in response["Vary"]


@pytest.mark.parametrize("language", ["fr", "en"])
@pytest.mark.parametrize("path", ["/", "/courses/?area=home&words=a%20b", "/accounts/login/", "/help/"])
def test_a_chosen_language_is_followed_to_every_plain_address(client: Client, language: str, path: str) -> None:
    client.cookies[COOKIE] = language
    response = client.get(path)
    assert (response.status_code, response["Location"]) == (302, f"/{language}{path}")
    assert "Cookie" in response["Vary"]


@pytest.mark.parametrize("language", ["nl", "de", "", "../fr", "fr/../../x"])
def test_other_words_in_the_cookie_change_nothing(client: Client, language: str) -> None:
    client.cookies[COOKIE] = language
    assert client.get("/help/").status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/theme/nobody.css", "/en/help/", "/no/such/page", "/static/x.css"])
def test_what_is_no_plain_page_stays_where_it_is(client: Client, path: str) -> None:
    client.cookies[COOKIE] = "fr"
    assert client.get(path).status_code in (200, 404)


def test_only_reading_is_redirected(client: Client) -> None:
    client.cookies[COOKIE] = "fr"
    assert client.head("/help/").status_code == 302
    assert client.post("/help/").status_code != 302


def test_an_address_of_another_site_cannot_be_smuggled_in(client: Client) -> None:
    client.cookies[COOKIE] = "fr"
    response = client.get("//evil.example/")
    assert "Location" not in response or response["Location"].startswith("/fr/")


@pytest.mark.parametrize(
    ("path", "language", "there"),
    [("/help/", "fr", "/fr/help/"), ("/fr/courses/?area=home", "nl", "/courses/?area=home"), ("/fr/", "en", "/en/")],
)
def test_language_is_switched_on_the_page_itself(client: Client, path: str, language: str, there: str) -> None:
    text = client.get(path).content.decode()
    button = text.split(f'name="language" value="{language}"', 1)[1]
    action = button.split('formaction="', 1)[1].split('"', 1)[0]
    response = client.post(action, {"language": language})
    assert (response.status_code, response["Location"]) == (302, there)
    assert client.cookies[COOKIE].value == language
    assert client.get(there).status_code == 200


def test_language_is_switched_without_a_token() -> None:
    """With one, no page could be the same for everybody."""
    client = Client(enforce_csrf_checks=True)
    assert client.post("/language/?next=/fr/help/", {"language": "fr"})["Location"] == "/fr/help/"
    assert client.cookies[COOKIE].value == "fr"


def test_switching_leads_nowhere_else(client: Client) -> None:
    response = client.post("/language/?next=https://evil.example/", {"language": "fr"})
    assert not response["Location"].startswith("https://evil.example")
