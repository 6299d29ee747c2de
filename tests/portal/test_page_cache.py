"""The catalog's pages for visitors come from memory: never stale, never with anything of anybody's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.conf import LazySettings
from django.conf import settings as django_settings
from django.contrib import messages
from django.contrib.messages.storage.cookie import CookieStorage
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import render
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext

from catalog.models import Course, Listing, Programme, Provider
from enrollment.reports import finding
from enrollment.views import courses
from portal import page_cache
from portal.page_cache import Page, Pages
from tests.enrollment.views.shelf_of_courses import days_from_now, make_course, offer_course
from tests.factories import make_library, make_member, make_programme

pytestmark = pytest.mark.django_db

COOKIE = django_settings.LANGUAGE_COOKIE_NAME
COURSES, COURSE = "/en/courses/", "/en/courses/beter-slapen/"


@pytest.fixture
def programme() -> Programme:
    programme = make_programme(institutions=[make_library().institution])
    offer_course(programme, make_course("Beter slapen", area="health"))
    offer_course(programme, make_course("Spaans"))
    return programme


@pytest.fixture
def visitor(programme: Programme, settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> Client:
    """Of a site that keeps its pages; and looks at the version at every request."""
    settings.PAGE_CACHE_MB = 1
    monkeypatch.setattr(page_cache, "_READ_EVERY", 0.0)
    return Client()


@pytest.fixture
def other(visitor: Client) -> Client:
    """Another visitor, of the same process."""
    client = Client()
    client.handler = visitor.handler
    return client


def queries(client: Client, address: str, **headers: str) -> int:
    with CaptureQueriesContext(connection) as caught:
        assert client.get(address, headers=headers).status_code in (200, 304)
    return len(caught)


def text(client: Client, address: str, **headers: str) -> str:
    response = client.get(address, headers=headers)
    assert response.status_code == 200
    return response.content.decode()


@pytest.mark.parametrize("address", [COURSES, COURSE, "/courses/", "/fr/courses/?words=slapen", "/courses/spaans/"])
def test_a_page_is_made_once_and_then_comes_from_memory(visitor: Client, other: Client, address: str) -> None:
    assert queries(visitor, address) > 1
    assert queries(visitor, address) == queries(other, address) == 1  # the version alone
    assert text(visitor, address) == text(other, address)


def test_the_version_is_read_once_a_second(visitor: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    queries(visitor, COURSES)
    monkeypatch.setattr(page_cache, "_READ_EVERY", 60.0)
    assert queries(visitor, COURSES) == 0


@pytest.mark.parametrize("address", [COURSES, COURSE, "/courses/", "/fr/courses/spaans/", "/courses/?words=x"])
@pytest.mark.parametrize("secure", [False, True])
def test_kept_pages_have_the_headers_they_have_when_made(
    visitor: Client, other: Client, settings: LazySettings, address: str, secure: bool
) -> None:
    settings.SECURE_HSTS_SECONDS = 31536000
    made, kept = (client.get(address, secure=secure) for client in (visitor, other))
    settings.PAGE_CACHE_MB = 0
    plain = Client().get(address, secure=secure)
    assert dict(made.headers) == dict(kept.headers)
    ours = {"ETag", "Cache-Control", "Vary"}
    assert {k: v for k, v in kept.headers.items() if k not in ours} == {
        k: v for k, v in plain.headers.items() if k not in ours
    }
    assert {"Content-Security-Policy", "X-Frame-Options", "Content-Language"} <= set(kept.headers)
    assert ("Strict-Transport-Security" in kept.headers) == secure
    assert set(plain["Vary"].split(", ")) | {"Cookie"} == set(kept["Vary"].split(", "))
    assert kept["Cache-Control"] == "no-cache"
    assert made.content == kept.content == plain.content


@pytest.mark.parametrize(
    "change",
    [
        lambda: Course.objects.filter(title="Beter slapen").update(title="Slaap nu"),
        lambda: connection.cursor().execute("UPDATE catalog_course SET title = 'Slaap nu' WHERE title LIKE 'Beter%'"),
        lambda: Course.objects.bulk_update([_renamed()], ["title"]),
        lambda: Provider.objects.update(name="Slaap nu"),
    ],
)
def test_a_change_is_seen_whoever_makes_it(visitor: Client, change: Callable[[], Any]) -> None:
    assert "Slaap nu" not in text(visitor, COURSE)
    change()
    assert "Slaap nu" in text(visitor, COURSE)


def _renamed() -> Course:
    course = Course.objects.get(title="Beter slapen")
    course.title = "Slaap nu"
    return course


@pytest.mark.parametrize(
    "change",
    [
        lambda: Listing.objects.filter(course__title="Spaans").update(offered_until=days_from_now(0)),
        lambda: Listing.objects.filter(course__title="Spaans").update(offered_from=days_from_now(3)),
        lambda: Programme.objects.update(closes_on=days_from_now(0)),
    ],
)
def test_what_leaves_is_gone(visitor: Client, change: Callable[[], Any]) -> None:
    assert "Spaans" in text(visitor, COURSES)
    change()
    assert "Spaans" not in text(visitor, COURSES)


def test_another_day_brings_other_pages(visitor: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    Listing.objects.filter(course__title="Spaans").update(offered_until=days_from_now(1))
    assert "Spaans" in text(visitor, COURSES)
    tomorrow = days_from_now(1)
    monkeypatch.setattr("django.utils.timezone.localdate", lambda: tomorrow)
    assert "Spaans" not in text(visitor, COURSES)


def test_a_page_made_while_the_catalog_changed_is_not_served_after_it(
    visitor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old page is kept under the old version, even when it is kept after the change."""
    real = finding.find

    def slow(*args: Any, **more: Any) -> Any:
        found = real(*args, **more)
        Course.objects.filter(title="Spaans").update(title="Italiaans")
        return found

    monkeypatch.setattr(finding, "find", slow)
    text(visitor, COURSES)
    monkeypatch.setattr(finding, "find", real)
    assert "Italiaans" in text(visitor, COURSES)


def test_members_see_their_own_and_visitors_never_do(visitor: Client, programme: Programme) -> None:
    ada = make_member("kanarina@example.test", programme=programme, first_name="Kanarina")
    member = Client()
    member.handler = visitor.handler
    member.force_login(ada.user)
    for _round in range(2):
        own = text(member, COURSE)
        assert "You cannot start this course now" in own
        assert "Sign out" in own
        page = visitor.get(COURSE)
        assert not page.cookies
        for word in ("You cannot start this course now", "Sign out", "anarina", "csrfmiddlewaretoken"):
            assert word not in page.content.decode()


@pytest.mark.parametrize("cookie", ["session", "messages"])
def test_who_has_a_cookie_of_their_own_gets_a_page_of_their_own(
    visitor: Client, other: Client, cookie: str, caplog: pytest.LogCaptureFixture
) -> None:
    visitor.cookies[cookie] = "x" * 32
    queries(visitor, COURSES)
    assert queries(other, COURSES) > 1  # nothing was kept
    assert queries(visitor, COURSES) > 1  # and nothing kept is served


def test_a_message_is_shown_once_and_only_to_whom_it_is_for(visitor: Client, other: Client) -> None:
    request = RequestFactory().get("/")
    request.session = {}  # type: ignore[assignment]
    storage = CookieStorage(request)
    storage.add(messages.SUCCESS, "Kanarina is saved")
    response = HttpResponse()
    storage.update(response)
    visitor.cookies["messages"] = response.cookies["messages"].value
    assert "Kanarina is saved" in text(visitor, COURSES)
    assert "Kanarina" not in text(other, COURSES)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda request, response: response.set_cookie("x", "1"),
        lambda request, response: get_token(request),
        lambda request, response: request.session.update({"x": 1}),
        lambda request, response: response.write('<input name="csrfmiddlewaretoken">'),
        lambda request, response: response.headers.setdefault("Cache-Control", "max-age=0, private"),
        lambda request, response: setattr(response, "status_code", 203),
    ],
)
def test_what_is_somebodys_is_not_kept(
    visitor: Client, other: Client, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[HttpRequest, HttpResponse], Any]
) -> None:
    made = []

    def spoiled(request: HttpRequest, *args: Any, **more: Any) -> HttpResponse:
        response = render(request, *args, **more)
        spoil(request, response)
        made.append(response)
        return response

    monkeypatch.setattr(courses, "render", spoiled)
    visitor.get(COURSES)
    other.get(COURSES)
    assert len(made) == 2


@pytest.mark.parametrize("address", ["/en/", "/en/help/", "/en/join/", "/en/courses/no-such/", "/healthz"])
def test_only_pages_of_the_catalog_are_kept(visitor: Client, other: Client, address: str) -> None:
    response = visitor.get(address)
    assert "ETag" not in response
    assert "ETag" not in other.get(address)


def test_only_reading_comes_from_memory(visitor: Client) -> None:
    text(visitor, COURSES)
    assert "ETag" not in visitor.post(COURSES)
    assert visitor.head(COURSES).content == b""


@pytest.mark.parametrize("words", ["Kanarina", "a&utm=1", "%3Cscript%3Ex"])
def test_what_means_nothing_in_an_address_is_not_in_the_page(visitor: Client, other: Client, words: str) -> None:
    first = text(visitor, f"{COURSES}?token={words}&language=nl&unknown={words}&area=")
    assert words not in first
    assert queries(other, f"{COURSES}?language=nl&token=other") == 1
    assert text(other, f"{COURSES}?language=nl") == first
    assert queries(visitor, f"{COURSE}?token={words}") > 1
    assert queries(visitor, COURSE) == 1


def test_other_wishes_are_other_pages(visitor: Client) -> None:
    pages = {text(visitor, f"{COURSES}?{query}") for query in ("", "words=slapen", "area=health", "words=spaans")}
    assert len(pages) == 4
    assert text(visitor, f"{COURSES}?words=slapen&area=health") == text(visitor, f"{COURSES}?area=health&words=slapen")


def test_words_are_read_alike_however_a_client_writes_them(visitor: Client, settings: LazySettings) -> None:
    """Browsers escape what is no ASCII; other clients send the bytes."""
    raw = "words=été".encode().decode("latin-1")
    pages = {visitor.generic("GET", COURSES, QUERY_STRING=query).content for query in ("words=%C3%A9t%C3%A9", raw)}
    assert [b'value="\xc3\xa9t\xc3\xa9"' in page for page in pages] == [True]


def test_each_language_has_its_own(visitor: Client, other: Client) -> None:
    assert 'lang="nl"' in text(visitor, "/courses/", **{"accept-language": "fr"})
    assert text(other, "/courses/", **{"accept-language": "en"}) == text(visitor, "/courses/")
    assert '<html lang="fr">' in text(visitor, "/fr/courses/")
    text(visitor, "/courses/?words=x")
    other.cookies[COOKIE] = "fr"
    response = other.get("/courses/?words=x")
    assert (response.status_code, response["Location"]) == (302, "/fr/courses/?words=x")
    assert '<html lang="en">' in text(other, COURSES)
    assert '<html lang="nl">' in text(visitor, "/courses/")
    other.cookies[COOKIE] = "nl"
    assert queries(other, "/courses/") == 1


def test_a_browser_that_has_the_page_is_told_so(visitor: Client, other: Client) -> None:
    etag = visitor.get(COURSES)["ETag"]
    again = other.get(COURSES, headers={"if-none-match": etag})
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", etag)
    assert "Cookie" in again["Vary"]
    assert other.get(COURSES, headers={"if-none-match": '"old"'}).status_code == 200
    assert other.get(COURSES, headers={"if-none-match": "*" * 9000 + "\\"}).status_code in (200, 304)
    Course.objects.filter(title="Spaans").update(title="Italiaans")
    assert other.get(COURSES, headers={"if-none-match": etag}).status_code == 200


def test_names_of_other_sites_are_refused(visitor: Client) -> None:
    text(visitor, COURSES)
    assert visitor.get(COURSES, headers={"host": "evil.example"}).status_code == 400


def test_without_the_database_nothing_is_taken_for_true(
    visitor: Client, monkeypatch: pytest.MonkeyPatch, other: Client
) -> None:
    text(visitor, COURSES)
    monkeypatch.setattr(page_cache.Version, "_read", staticmethod(lambda: ""))
    for _round in range(2):
        assert queries(other, COURSES) > 1


def test_memory_is_bounded_and_keeps_what_was_asked_for_last() -> None:
    pages = Pages(10_000)
    for number in range(8):
        pages.put((str(number),), Page(b"x" * 1000, (), ""))
        assert pages.held <= 10_000
        assert pages.get(("0",)) is not None
    kept = [number for number in range(8) if pages.get((str(number),))]
    assert kept == [0, 5, 6, 7]
    pages.put(("long",), Page(b"x" * 3000, (), ""))
    assert pages.get(("long",)) is None
    pages.put(("0",), Page(b"y", (), ""))
    assert pages.get(("0",)) == Page(b"x" * 1000, (), "")


def test_a_site_may_keep_nothing(programme: Programme, settings: LazySettings) -> None:
    settings.PAGE_CACHE_MB = 0
    client = Client()
    assert queries(client, COURSES) == queries(client, COURSES) > 1
