"""What the demo's programme offers: the titles, on offer around today and at the next rotation, how they are started,
and the institutions that take part."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from dateutil.relativedelta import relativedelta
from django.conf import settings
from django.utils.text import slugify

from catalog.models import Area, Course, Listing, Programme, Provider, Synonym, Tool
from enrollment.models import SeatPool, Share
from libraries.models import Institution, Library, LibrarySystem
from portal.sandbox import course_tool_facts, library
from portal.sandbox.only import refuse_outside_the_sandbox

refuse_outside_the_sandbox()

DATA = Path(__file__).parent / "demo_data"
PROGRAMME = "leren-met-je-bibkaart"
FIRST_CAP = 1000
# The programme opened so many months ago: the fifth of its six modules is the one of this month.
MONTHS_OPEN = 4
SYNONYMS = (
    "Spaans, espagnol, español, Spanish",
    "Frans, français, French",
    "Engels, anglais, English",
    "Duits, allemand, German",
    "Italiaans, italien, Italian",
    "slapen, sommeil, sleep",
    "foto, fotografie, photo, photographie, photography",
    "rekenblad, tableur, spreadsheet, Excel",
    "smartphone, gsm, telefoon, téléphone, phone",
)
FLOORS = {"dilbeek": 40, "halle": 40, "ivebica": 30, "sint-pieters-leeuw": 30}
# Half a year after the opening other titles come. Two leave before that, so that there is a title that leaves soon.
ROTATION_MONTHS = 6
LEAVING = ("ST-1005", "ST-6001")
REPLACED = ("ST-2005", "ST-3004", "ST-4003", "ST-7002")
PROVIDER = "skillstown"
ASKED = library.INSTITUTION
CARD_CHECKS = {"antwerpen": Institution.CardCheck.ROSTER, ASKED: Institution.CardCheck.SIP2}
NUMBER_PATTERNS = {"antwerpen": "21######", ASKED: "285#####"}

Row = Mapping[str, str]


def rows(name: str) -> Iterator[Row]:
    with (DATA / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def opening(today: date) -> date:
    return today.replace(day=1) - relativedelta(months=MONTHS_OPEN)


def make_institutions() -> dict[str, Institution]:
    made = {row["slug"]: Institution(**_institution(row)) for row in rows("institutions")}
    Institution.objects.bulk_create(made.values())
    Library.objects.bulk_create(
        Library(
            institution=made[row["institution"]], name=row["name"], postal_code=row["postal_code"], city=row["city"]
        )
        for row in rows("libraries")
    )
    LibrarySystem.objects.create(
        institution=made[ASKED],
        address=library.HOST,
        port=settings.SANDBOX_LIBRARY_PORT,
        tls=False,
        institution_code=library.INSTITUTION,
        location=library.LOCATION,
        login=library.USER,
        secret_name="SANDBOX_LIBRARY_PASSWORD",
        asks_expiry=True,
    )
    return made


def _institution(row: Row) -> dict[str, str]:
    """Antwerp checks cards with a list, and Kortrijk's library system is asked, so that a newcomer can see a card
    confirmed at once; the others look. Both say which numbers their cards have."""
    check = CARD_CHECKS.get(row["slug"], Institution.CardCheck.BY_HAND)
    return {**row, "card_check": check, "number_patterns": NUMBER_PATTERNS.get(row["slug"], "")}


def make_programme(institutions: Mapping[str, Institution], today: date) -> Programme:
    provider = Provider.objects.create(
        slug=PROVIDER,
        name="SkillsTown",
        secret_name="SANDBOX_PLATFORM_TOKEN",
        calls_per_second=20,
        **_addresses(),
    )
    programme = Programme.objects.create(
        slug=PROGRAMME, name="Leren met je bibkaart", provider=provider, opens_on=opening(today)
    )
    pool = SeatPool.objects.create(programme=programme, cap=FIRST_CAP, floors=sum(FLOORS.values()))
    Share.objects.bulk_create(
        Share(pool=pool, institution=institution, floor=FLOORS.get(slug, 0))
        for slug, institution in institutions.items()
    )
    return programme


def _addresses() -> dict[str, str]:
    return {
        "base_url": f"{settings.SANDBOX_PLATFORM_URL}/v2",
        "start_url": settings.SANDBOX_PLATFORM_URL,
        "webhook_secret_name": "SANDBOX_WEBHOOK_SECRET",
    }


def find_outside_world() -> None:
    """The ports of the platform and of the library system may be other ones than last time."""
    Provider.objects.filter(slug=PROVIDER).update(**_addresses())
    Tool.objects.filter(provider__slug=PROVIDER).update(**_tool_addresses())
    LibrarySystem.objects.filter(institution__slug=ASKED).update(port=settings.SANDBOX_LIBRARY_PORT)


def register_tool() -> bool:
    """Also in a demo that is older than its courses; says whether there was none."""
    provider = Provider.objects.get(slug=PROVIDER)
    known = {"client_id": course_tool_facts.CLIENT_ID, "deployment_id": course_tool_facts.DEPLOYMENT_ID}
    return Tool.objects.get_or_create(provider=provider, defaults=known | _tool_addresses())[1]


def _tool_addresses() -> dict[str, Any]:
    def at(path: str) -> str:
        return f"{settings.SANDBOX_PLATFORM_URL}{path}"

    return {
        "login_url": at(course_tool_facts.LOGIN),
        "launch_url": at(course_tool_facts.LAUNCH),
        "redirect_uris": [at(course_tool_facts.LAUNCH), at(course_tool_facts.DEEP_LINKING)],
        "deep_linking_url": at(course_tool_facts.DEEP_LINKING),
        "keyset_url": at(course_tool_facts.KEYSET),
    }


def describe_courses() -> None:
    """In a demo that is older than the descriptions: where nobody has written any."""
    told = {row["code"]: _description(row) for row in rows("courses")}
    bare = Course.objects.filter(provider__slug=PROVIDER, description_nl="", description_fr="", description_en="")
    courses = list(bare.filter(code__in=told))
    for course in courses:
        for name, value in told[course.code].items():
            setattr(course, name, value)
    Course.objects.bulk_update(courses, ["description_nl", "description_fr", "description_en", "launch_custom"])


def _description(row: Row) -> dict[str, Any]:
    described = {f"description_{language}": row[f"description_{language}"] for language in ("nl", "fr", "en")}
    return {**described, "launch_custom": {"course": row["code"]}}


def make_courses(programme: Programme) -> None:
    """Those of the next rotation are planned."""
    areas = [
        Area(slug=row["slug"], name_nl=row["nl"], name_fr=row["fr"], name_en=row["en"], position=position)
        for position, row in enumerate(rows("areas"), start=1)
    ]
    known = {area.slug: area for area in Area.objects.bulk_create(areas)}
    courses = {row["code"]: _course(row, known, programme.provider) for row in rows("courses")}
    Course.objects.bulk_create(courses.values())
    Listing.objects.bulk_create(_listing(row, courses[row["code"]], programme) for row in rows("courses"))
    Synonym.objects.bulk_create(Synonym(words=words) for words in SYNONYMS)


def _course(row: Row, areas: Mapping[str, Area], provider: Provider) -> Course:
    return Course(
        provider=provider,
        code=row["code"],
        slug=slugify(row["title"]),
        area=areas[row["area"]],
        title=row["title"],
        language=row["language"],
        level=row["level"],
        hours=int(row["hours"]),
        **_description(row),
    )


def _listing(row: Row, course: Course, programme: Programme) -> Listing:
    role, _, month = row["role"].partition(":")
    if role == "module":
        # The modules' months are those of 2019; the first one is that of the opening.
        return _module(programme, course, programme.opens_on + relativedelta(months=int(month[-2:]) - 7))
    rotation = programme.opens_on + relativedelta(months=ROTATION_MONTHS)
    if role == "next":
        return Listing(programme=programme, course=course, offered_from=rotation)
    ends = dict.fromkeys(LEAVING, programme.opens_on + relativedelta(months=MONTHS_OPEN + 1, days=14))
    until = (ends | dict.fromkeys(REPLACED, rotation)).get(row["code"])
    return Listing(programme=programme, course=course, offered_from=programme.opens_on, offered_until=until)


def _module(programme: Programme, course: Course, since: date) -> Listing:
    until = since + relativedelta(months=1)
    return Listing(
        programme=programme, course=course, role=Listing.Role.MODULE, offered_from=since, offered_until=until
    )


def keep_a_module_on_offer(today: date) -> None:
    """In a demo that is older than its list of modules, the one that was longest ago comes round again."""
    programme = Programme.objects.get(slug=PROGRAMME)
    modules = programme.listings.filter(role=Listing.Role.MODULE)
    if modules.on_offer(today).exists():
        return
    oldest = modules.order_by("offered_until", "id").select_related("course")[0]
    _module(programme, oldest.course, today.replace(day=1)).save()
