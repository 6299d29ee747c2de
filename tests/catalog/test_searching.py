"""Courses are found by what people type: in three languages, by other words that mean the same, with typing errors."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from catalog import searching
from catalog.models import Area, CatalogChange, Course, CourseDocument, Listing, Programme, SearchWord, Synonym
from catalog.searching import Narrow
from tests.enrollment.views.shelf_of_courses import make_course, offer_course
from tests.factories import NOW, make_programme

pytestmark = pytest.mark.django_db

DAY = NOW.date()


@pytest.fixture
def programme() -> Programme:
    return make_programme(opens_on=DAY - timedelta(days=200))


@pytest.fixture
def shelf(programme: Programme) -> None:
    Area.objects.create(slug="languages", name_nl="Talen", name_fr="Langues", name_en="Languages")
    Area.objects.create(slug="health", name_nl="Gezondheid", name_fr="Santé", name_en="Health")
    Area.objects.create(slug="office", name_nl="Kantoor", name_fr="Bureau", name_en="Office")
    courses: dict[str, dict[str, Any]] = {
        "Spaans voor beginners": {"description_fr": "Vos premières phrases, pas à pas."},
        "Français: conversation": {"language": "fr"},
        "Beter slapen": {"area": "health", "description_nl": "Over dromen en rusten.", "level": "starter", "hours": 4},
        "Excel": {"area": "office", "description_en": "Spreadsheets for everyone"},
        "Excel voor gevorderden": {"area": "office"},
        "Werken met draaitabellen": {"area": "office", "description_nl": "Voor wie Excel al kent."},
    }
    for title, more in courses.items():
        offer(programme, make_course(title, **more))


def offer(programme: Programme, course: Course, **fields: Any) -> Listing:
    return offer_course(programme, course, offered_from=DAY - timedelta(days=100), **fields)


def found(words: str, day: date = DAY, **more: Any) -> list[str]:
    ids = [hit.course_id for hit in searching.search(words, day=day, **more).hits]
    titles = dict(Course.objects.values_list("pk", "title"))
    return [titles[pk] for pk in ids]


@pytest.mark.parametrize(
    ("words", "titles"),
    [
        ("spaans", ["Spaans voor beginners"]),
        ("SPAANS", ["Spaans voor beginners"]),
        ("spa", ["Spaans voor beginners"]),
        ("beginner spaans", ["Spaans voor beginners"]),
        ("francais", ["Français: conversation"]),
        ("franc\u0327ais", ["Français: conversation"]),  # the accent as a letter of its own
        ("ﬁrst", []),
        ("premieres phrases", ["Spaans voor beginners"]),  # of a description in another language
        ("santé", ["Beter slapen"]),  # of an area's name
        ("gezondheid", ["Beter slapen"]),
        ("dromend", ["Beter slapen"]),  # by its stem
        ("spreadsheet", ["Excel"]),
        ("slapen beginners", []),
    ],
)
def test_words_are_found_in_all_that_is_said_of_a_course(shelf: None, words: str, titles: list[str]) -> None:
    assert found(words) == titles


@pytest.mark.parametrize(
    ("words", "meant", "titles"),
    [
        ("spans", "spaans", ["Spaans voor beginners"]),
        ("spaasn", "spaans", ["Spaans voor beginners"]),
        ("exel", "excel", ["Excel", "Excel voor gevorderden", "Werken met draaitabellen"]),
        ("exel gevordeden", "excel", ["Excel voor gevorderden"]),
        ("converzation", "conversation", ["Français: conversation"]),
    ],
)
def test_typing_errors_are_forgiven(shelf: None, words: str, meant: str, titles: list[str]) -> None:
    assert found(words) == titles
    assert meant in searching.search(words, day=DAY).guessed[words.split()[0]]


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("spans", ["spaans"]),  # not "sans", which is less alike; nor "spa" and "spanish", which have two errors
        ("spn", []),
        ("spqns", []),
        ("spanisch", ["spanish"]),
        ("spanizch", ["spanish"]),
        ("spxnizch", []),
        ("conversatin", ["conversation"]),  # "conversaties" is two letters away
    ],
)
def test_a_word_is_only_taken_for_what_is_nearest(
    shelf: None, programme: Programme, words: str, meant: list[str]
) -> None:
    offer(programme, make_course("Spa", description_en="Spanish", description_nl="Conversaties sans"))
    assert searching.search(words, day=DAY).guessed.get(words, []) == meant


def test_the_exact_title_comes_first_and_then_what_has_it_in_the_title(shelf: None) -> None:
    assert found("excel") == ["Excel", "Excel voor gevorderden", "Werken met draaitabellen"]


def test_words_that_mean_the_same_find_the_same(shelf: None) -> None:
    assert found("espagnol") == []
    synonym = Synonym.objects.create(words="Spaans, espagnol, Español , Spanish")
    assert found("espagnol") == found("espanol") == found("spanis") == found("espagnl") == ["Spaans voor beginners"]
    assert found("spanish beginners") == ["Spaans voor beginners"]
    Synonym.objects.update(words="Spaans, castellano")
    assert (found("castellano"), found("spanish")) == (["Spaans voor beginners"], [])
    synonym.delete()
    assert found("castellano") == []


def test_words_that_mean_the_same_are_whole_words(shelf: None, programme: Programme) -> None:
    Synonym.objects.create(words="paan, kauwnoot")
    assert found("kauwnoot") == []


@pytest.mark.parametrize("words", ["c, ,", "  ", ",,,", "%,_", "a'b, \\"])
def test_odd_synonyms_break_nothing(shelf: None, words: str) -> None:
    Synonym.objects.create(words=words)
    assert found("spaans") == ["Spaans voor beginners"]


def test_what_changes_is_found_at_once(shelf: None, programme: Programme) -> None:
    Course.objects.filter(title="Beter slapen").update(title="Rustig dutten")
    assert (found("dutten"), found("slapen")) == (["Rustig dutten"], [])
    Area.objects.filter(slug="health").update(name_en="Wellbeing")
    assert found("wellbeing") == ["Rustig dutten"]
    course = make_course("Zingen", area="health")
    assert found("zingen") == []  # nobody offers it
    listing = offer_course(programme, course, offered_from=(first := date(2040, 1, 1)))
    assert found("zingen", first) == ["Zingen"]
    listing.delete()
    course.delete()
    assert not CourseDocument.objects.filter(title="zingen").exists()


@pytest.mark.parametrize(
    "words",
    [
        "%",
        "_",
        "*",
        "' OR 1=1 --",
        "'; DROP TABLE catalog_course; --",
        '"',
        "\\",
        "spaans:* & !x",
        "<->",
        "(((",
        "{word}",
        "%(day)s",
        "\x00",
        "😀",
        "👩‍🏫" * 40,
        "\ud800",
        "\u202e\u200b",
        "مرحبا",
        "日本語",
        "x" * 10_000,
        "q " * 5_000,
        "ﷺ" * 100,
    ],
)
def test_senseless_words_find_nothing_and_harm_nothing(shelf: None, words: str) -> None:
    assert found(words) == []
    assert Course.objects.count() == 6


@pytest.mark.parametrize("words", ["spaans%", "'spaans'", "spaans\x00", "spaans 😀", "“spaans”", "\x00spaans\ud800"])
def test_signs_among_words_are_left_out(shelf: None, words: str) -> None:
    assert found(words) == ["Spaans voor beginners"]


def test_of_what_is_typed_a_hundred_letters_are_read(shelf: None) -> None:
    assert searching.cleaned("é" * 10_000) == "é" * 100
    assert found("spaans" + " " * 94 + "nowhere") == ["Spaans voor beginners"]


def test_of_what_is_typed_eight_words_are_read(shelf: None) -> None:
    assert found("spaans " * 8 + "nowhere") == ["Spaans voor beginners"]
    assert found("spaans " * 7 + "nowhere") == []


def test_odd_titles_are_kept_within_bounds(shelf: None) -> None:
    make_course("ﷺ" * 200, code="odd", description_nl="x" * 2000)
    assert len(CourseDocument.objects.latest("course_id").title) <= 200
    assert not SearchWord.objects.filter(word__startswith="xxx").exists()


def test_only_what_is_on_offer_today_is_found(shelf: None, programme: Programme) -> None:
    Listing.objects.filter(course__title="Excel").update(offered_until=DAY)
    Listing.objects.filter(course__title="Beter slapen").update(offered_from=DAY + timedelta(days=1))
    assert found("excel") == ["Excel voor gevorderden", "Werken met draaitabellen"]
    assert found("slapen") == []
    assert found("slapen", DAY + timedelta(days=1)) == ["Beter slapen"]
    Programme.objects.update(closes_on=DAY)
    assert found("excel") == found("") == []


def test_without_words_all_that_is_on_offer_comes_by_title(shelf: None) -> None:
    assert found("") == sorted(Course.objects.values_list("title", flat=True), key=str.casefold)


def test_a_course_of_two_programmes_is_found_once_with_the_longest_time(shelf: None) -> None:
    course = Course.objects.get(title="Excel")
    course.listings.update(offered_until=DAY + timedelta(days=5))
    offer(make_programme("second"), course)
    hits = searching.search("excel", day=DAY).hits
    assert [hit.until for hit in hits if hit.course_id == course.pk] == [None]


def test_any_of_the_words_is_enough_where_asked(shelf: None) -> None:
    assert found("slapen spaans") == []
    assert sorted(found("slapen spaans", any_word=True)) == ["Beter slapen", "Spaans voor beginners"]


def test_no_more_is_looked_at_than_can_be_shown(
    shelf: None, programme: Programme, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The very title is among them; and what is asked for besides is then asked of the database."""
    monkeypatch.setattr(searching, "MOST_HITS", 1)
    many = searching.search("", day=DAY)
    assert (many.is_cut, len(many.hits)) == (True, 2)
    offer(programme, make_course("Voor"))
    assert found("voor")[0] == "Voor"
    language = Narrow(language="fr", level="A1", hours=range(11, 100), area_id=Area.objects.get(slug="languages").pk)
    assert found("", narrow=language) == ["Français: conversation"]
    assert found("", narrow=Narrow(among=[])) == []
    assert found("", narrow=Narrow(since=DAY)) == []
    assert found("", narrow=Narrow(until=DAY)) == []


def test_search_costs_two_queries(shelf: None, django_assert_num_queries: Callable[[int], Any]) -> None:
    with django_assert_num_queries(1):
        found_all = searching.search("", day=DAY)
    with django_assert_num_queries(2):
        searching.search("spaans beginners excel slapen", day=DAY)
    assert len(found_all.hits) == 6


@pytest.mark.parametrize(("words", "index"), [("spaans", "document_words"), ("spaanz", "searchword_letters")])
def test_search_goes_by_the_index(shelf: None, words: str, index: str) -> None:
    """Where there are more rows than these few; the sort of scan is what is asked for, not the speed."""
    with CaptureQueriesContext(connection) as caught:
        searching.search(words, day=DAY)
    with connection.cursor() as cursor:
        for scan in ("seqscan", "indexscan", "indexonlyscan"):
            cursor.execute(f"SET LOCAL enable_{scan} = off")
        plans = ""
        for each in caught:
            if each["sql"].lstrip().startswith(("SELECT", "WITH")):
                cursor.execute(f"EXPLAIN {each['sql']}".replace("%", "%%"), [])
                plans += "\n".join(line for (line,) in cursor.fetchall())
    assert f"Bitmap Index Scan on {index}" in plans


def test_every_statement_that_changes_the_catalog_is_a_change(shelf: None, programme: Programme) -> None:
    synonym = Synonym.objects.create(words="a, b")
    for change in (
        lambda: Course.objects.update(hours=3),
        lambda: Area.objects.update(position=1),
        lambda: Listing.objects.update(role="core"),
        lambda: Programme.objects.update(name="x"),
        lambda: Synonym.objects.update(words="a, c"),
        synonym.delete,
        lambda: Listing.objects.update(offered_from=date(2040, 1, 1), offered_until=None),
        lambda: connection.cursor().execute("DELETE FROM catalog_listing"),
        Course.objects.all().delete,
        lambda: Area.objects.create(slug="x", name_nl="x", name_fr="x", name_en="x"),
    ):
        before = CatalogChange.objects.count()
        change()
        assert CatalogChange.objects.count() > before


def test_words_that_no_course_has_are_forgotten_and_old_changes(shelf: None) -> None:
    Course.objects.filter(title="Beter slapen").update(title="Rustig dutten")
    CatalogChange.objects.update(at=NOW - timedelta(days=2))
    Area.objects.update(position=2)
    CatalogChange.objects.filter(pk=CatalogChange.objects.latest("pk").pk).update(at=NOW)
    searching.tidy(now=NOW)
    words = set(SearchWord.objects.values_list("word", flat=True))
    assert ("slapen" in words, "dutten" in words, "spaans" in words, "phrases" in words) == (False, True, True, True)
    assert CatalogChange.objects.count() == 1


def test_a_thousand_courses_are_indexed_by_one_statement(programme: Programme) -> None:
    first = make_course()
    before = CatalogChange.objects.count()
    fields = {"provider": first.provider, "area": first.area, "language": "nl", "level": "A1", "hours": 1}
    Course.objects.bulk_create(Course(code=str(n), slug=str(n), title=f"Titel {n}", **fields) for n in range(1000))
    assert CatalogChange.objects.count() == before + 1
    assert CourseDocument.objects.count() == 1001
