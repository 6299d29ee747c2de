"""What others read of the catalog: feeds, data for search engines, pictures for shared links, addresses that stay."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from io import BytesIO
from typing import Any
from xml.etree import ElementTree

import pytest
from django.test import Client
from icalendar import Calendar
from PIL import Image

from catalog.models import Course, Listing, Programme
from enrollment.reports import news
from tests.enrollment.views.shelf_of_courses import days_from_now, make_course, offer_course
from tests.factories import make_library, make_programme

pytestmark = pytest.mark.django_db

ATOM = {"a": "http://www.w3.org/2005/Atom"}
ODD = 'Les "A" <b>&</b> </script><script>alert(1)</script> 😀\x0b'


@pytest.fixture
def programme() -> Programme:
    programme = make_programme(institutions=[make_library().institution])
    offer_course(programme, make_course("Spaans voor beginners"))
    offer_course(programme, make_course("Beter slapen", area="health"), offered_from=days_from_now(-5))
    module = {"role": Listing.Role.MODULE, "offered_from": days_from_now(-10), "offered_until": days_from_now(20)}
    offer_course(programme, make_course("Portretfoto's", area="creative"), **module)
    return programme


def entries(client: Client, address: str = "/en/courses/feed.atom") -> list[str | None]:
    response = client.get(address)
    assert (response.status_code, response["Content-Type"]) == (200, "application/atom+xml; charset=utf-8")
    feed = ElementTree.fromstring(response.content)
    for element in (feed, *feed.findall("a:entry", ATOM)):
        assert all(element.find(f"a:{name}", ATOM) is not None for name in ("id", "title", "updated"))
    assert feed.find("a:author/a:name", ATOM) is not None
    links = {link.get("rel"): link.get("href") for link in feed.findall("a:link", ATOM)}
    assert links["self"] == f"http://testserver{address}"
    return [each.text for each in feed.findall("a:entry/a:title", ATOM)]


def events(client: Client, address: str = "/en/courses/calendar.ics") -> list[Any]:
    response = client.get(address)
    assert (response.status_code, response["Content-Type"]) == (200, "text/calendar; charset=utf-8")
    assert max(len(line) for line in response.content.split(b"\r\n")) <= 75
    calendar = Calendar.from_ical(response.content)
    assert (calendar["VERSION"], calendar.errors) == ("2.0", [])
    return list(calendar.walk("VEVENT"))


def data(client: Client, address: str) -> dict[str, Any]:
    text = client.get(address).content.decode()
    found = re.findall(r'<script type="application/ld\+json">(.*?)</script>', text)
    assert len(found) == 1
    told: dict[str, Any] = json.loads(found[0])
    return told


def test_feed_has_the_module_and_what_is_new(client: Client, programme: Programme) -> None:
    assert entries(client) == ["New: Beter slapen", "Module of the month: Portretfoto's"]


def test_calendar_has_the_module_for_as_long_as_it_lasts(client: Client, programme: Programme) -> None:
    new, module = events(client)
    assert (str(new["SUMMARY"]), str(module["SUMMARY"])) == ("New: Beter slapen", "Module of the month: Portretfoto's")
    assert (new["DTSTART"].dt, new["DTEND"].dt) == (days_from_now(-5), days_from_now(-4))
    assert (module["DTSTART"].dt, module["DTEND"].dt) == (days_from_now(-10), days_from_now(20))
    assert str(module["URL"]) == "http://testserver/en/courses/portretfotos/"
    assert len({str(each["UID"]) for each in (new, module)}) == 2


def test_what_goes_on_without_a_break_is_no_news_but_a_module_is(client: Client, programme: Programme) -> None:
    """For the days on which it is one, though it stays and was there before."""
    for title, until in (("Beter slapen", -5), ("Portretfoto's", -10)):
        offer_course(programme, Course.objects.get(title=title), offered_until=days_from_now(until))
    offer_course(programme, Course.objects.get(title="Portretfoto's"), offered_from=days_from_now(20))
    assert entries(client) == ["Module of the month: Portretfoto's"]
    [module] = events(client)
    assert (module["DTSTART"].dt, module["DTEND"].dt) == (days_from_now(-10), days_from_now(20))


def test_what_goes_on_takes_no_room_from_what_is_new(
    client: Client, programme: Programme, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(news, "MOST", 2)
    for title in ("Blind typen", "Koken"):
        course = make_course(title)
        offer_course(programme, course, offered_until=days_from_now(-1))
        offer_course(programme, course, offered_from=days_from_now(-1))
    assert entries(client) == ["New: Beter slapen", "Module of the month: Portretfoto's"]


@pytest.mark.parametrize("language", ["", "/fr", "/en"])
def test_feeds_are_in_the_language_of_their_address(client: Client, programme: Programme, language: str) -> None:
    assert len(entries(client, f"{language}/courses/feed.atom")) == 2
    feed = client.get(f"{language}/courses/feed.atom").content.decode()
    assert f'xml:lang="{language[1:] or "nl"}"' in feed
    assert f"http://testserver{language}/courses/beter-slapen/" in feed
    assert len(events(client, f"{language}/courses/calendar.ics")) == 2


def test_feeds_are_well_formed_whatever_a_title_has(client: Client, programme: Programme) -> None:
    Course.objects.filter(title="Beter slapen").update(
        title=ODD, description_en="<i>x</i>\r\nBEGIN:VEVENT\n" + "é" * 900
    )
    assert f"New: {ODD[:-1]}" in entries(client)
    assert "&amp;lt;i&amp;gt;" in client.get("/en/courses/feed.atom").content.decode()
    assert str(events(client)[0]["SUMMARY"]) == f"New: {ODD[:-1]}"
    assert len(events(client)) == 2


def test_feeds_of_an_empty_catalog_are_valid_too(client: Client) -> None:
    assert entries(client) == events(client) == []


def test_what_is_not_on_offer_is_no_news(client: Client, programme: Programme) -> None:
    offer_course(programme, make_course("Later"), offered_from=days_from_now(1))
    offer_course(programme, make_course("Gone"), offered_from=days_from_now(-9), offered_until=days_from_now(0))
    offer_course(make_programme("closed", closes_on=days_from_now(0)), make_course("Closed"))
    assert len(entries(client)) == 2


@pytest.mark.parametrize("address", ["/en/courses/feed.atom", "/en/courses/calendar.ics"])
def test_feeds_cost_two_queries(
    client: Client, programme: Programme, address: str, django_assert_num_queries: Callable[[int], Any]
) -> None:
    for number in range(5):
        offer_course(programme, make_course(f"Cursus {number}"), offered_from=days_from_now(-number))
    with django_assert_num_queries(2):
        client.get(address)


@pytest.mark.parametrize("address", ["/en/", "/en/courses/", "/en/courses/beter-slapen/"])
def test_pages_lead_to_the_feeds(client: Client, programme: Programme, address: str) -> None:
    text = client.get(address).content.decode()
    assert 'type="application/atom+xml"' in text
    assert 'href="/en/courses/feed.atom"' in text
    assert 'href="/en/courses/calendar.ics"' in text


@pytest.mark.parametrize("address", ["/en/", "/en/courses/"])
def test_readers_see_the_feeds_too(client: Client, programme: Programme, address: str) -> None:
    text = client.get(address).content.decode()
    for feed in ("feed.atom", "calendar.ics"):
        assert f'<a href="/en/courses/{feed}">' in text


def test_course_tells_machines_what_it_is(client: Client, programme: Programme) -> None:
    Listing.objects.filter(course__title="Beter slapen").update(offered_until=days_from_now(9))
    address = "http://testserver/en/courses/beter-slapen/"
    assert data(client, "/en/courses/beter-slapen/") == {
        "@context": "https://schema.org",
        "@type": "Course",
        "@id": address,
        "url": address,
        "name": "Beter slapen",
        "description": "Beter slapen: follow this course online, for free, with your library card.",
        "image": f"{address}cover.png",
        "inLanguage": "nl",
        "educationalLevel": "A1",
        "about": "en health",
        "timeRequired": "PT20H",
        "isAccessibleForFree": True,
        "provider": {"@type": "Organization", "name": "SkillsTown"},
        "hasCourseInstance": {
            "@type": "CourseInstance",
            "courseMode": "Online",
            "courseWorkload": "PT20H",
            "startDate": days_from_now(-5).isoformat(),
            "endDate": days_from_now(8).isoformat(),
        },
        "offers": {"@type": "Offer", "category": "Free", "price": 0, "priceCurrency": "EUR", "url": address},
    }


def test_data_cannot_leave_their_element(client: Client, programme: Programme) -> None:
    Course.objects.filter(title="Beter slapen").update(title=ODD, description_en="</script><!-- \u2028 &lt;")
    told = data(client, "/en/courses/beter-slapen/")
    assert (told["name"], told["description"]) == (ODD, "</script><!-- &lt;")
    assert "<script>alert" not in client.get("/en/courses/beter-slapen/").content.decode()


def test_course_that_left_says_so_politely_and_to_machines_too(client: Client, programme: Programme) -> None:
    Listing.objects.filter(course__title="Beter slapen").update(offered_until=days_from_now(0))
    offer_course(programme, make_course("Rustig ademen", area="health"))
    response = client.get("/en/courses/beter-slapen/")
    text = response.content.decode()
    assert response.status_code == 200
    assert '<meta name="robots" content="noindex">' in text
    assert "This course is not on the shelf now" in text
    assert "Rustig ademen" in text
    assert {"offers", "hasCourseInstance"}.isdisjoint(data(client, "/en/courses/beter-slapen/"))
    assert "noindex" not in client.get("/en/courses/rustig-ademen/").content.decode()


def test_course_that_comes_tells_machines_when(client: Client, programme: Programme) -> None:
    Listing.objects.filter(course__title="Beter slapen").update(
        offered_from=days_from_now(30), offered_until=days_from_now(60)
    )
    told = data(client, "/en/courses/beter-slapen/")
    assert told["hasCourseInstance"]["startDate"] == days_from_now(30).isoformat()
    assert told["hasCourseInstance"]["endDate"] == days_from_now(59).isoformat()
    assert told["offers"]["availabilityStarts"] == days_from_now(30).isoformat()
    assert "noindex" not in client.get("/en/courses/beter-slapen/").content.decode()


def test_pages_name_their_address_in_each_language(client: Client, programme: Programme) -> None:
    text = client.get("/fr/courses/beter-slapen/?utm=1").content.decode()
    site = "http://testserver"
    assert f'<link rel="canonical" href="{site}/fr/courses/beter-slapen/">' in text
    assert re.findall(r'hreflang="([^"]+)" href="([^"]+)"', text) == [
        ("nl", f"{site}/courses/beter-slapen/"),
        ("fr", f"{site}/fr/courses/beter-slapen/"),
        ("en", f"{site}/en/courses/beter-slapen/"),
        ("x-default", f"{site}/courses/beter-slapen/"),
    ]
    filtered = client.get("/fr/courses/?area=health").content.decode()
    assert f'<link rel="canonical" href="{site}/fr/courses/">' in filtered
    assert '<meta name="robots" content="noindex, follow">' in filtered


def test_shared_links_have_a_picture(client: Client, programme: Programme) -> None:
    Course.objects.filter(title="Beter slapen").update(description_fr="Dormez\n<mieux> " + "x" * 300)
    text = client.get("/fr/courses/beter-slapen/").content.decode()
    told = dict(re.findall(r'<meta property="og:([^"]+)" content="([^"]*)">', text))
    assert (told["title"], told["locale"]) == ("Beter slapen", "fr_BE")
    assert told["url"] == "http://testserver/fr/courses/beter-slapen/"
    assert told["description"].startswith("Dormez &lt;mieux&gt; xxx")
    picture = client.get(told["image"].removeprefix("http://testserver"))
    assert picture["Content-Type"] == "image/png"
    assert Image.open(BytesIO(picture.content)).size == (int(told["image:width"]), int(told["image:height"]))


def test_cover_is_a_file_of_its_own(client: Client, programme: Programme) -> None:
    response = client.get("/courses/beter-slapen/cover.svg")
    assert response["Content-Type"] == "image/svg+xml"
    assert ElementTree.fromstring(response.content).tag == "{http://www.w3.org/2000/svg}svg"


@pytest.mark.parametrize("name", ["cover.svg", "cover.png", "", "cover.gif", "start.svg"])
def test_files_of_courses_that_never_were_are_not_found(client: Client, programme: Programme, name: str) -> None:
    assert client.get(f"/courses/no-such-course/{name}").status_code == 404


def test_a_title_that_comes_back_is_news_again(client: Client, programme: Programme) -> None:
    def names() -> set[str | None]:
        feed = ElementTree.fromstring(client.get("/courses/feed.atom").content)
        return {each.text for each in feed.findall("a:entry/a:id", ATOM)}

    before = names()
    listing = Listing.objects.get(course__title="Beter slapen")
    listing.offered_until = listing.offered_from + timedelta(days=1)
    listing.save()
    offer_course(programme, listing.course, offered_from=days_from_now(0))
    assert len(names() - before) == 1
