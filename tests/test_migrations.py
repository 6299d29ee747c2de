"""Migrations say what the models say, are named, and can be taken back."""

from datetime import date
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from catalog import searching
from catalog.models import Course, Listing
from enrollment.models import CourseRun
from tests.enrollment.views.shelf_of_courses import make_course
from tests.factories import make_user

ROOT = Path(__file__).parent.parent
APPS = ("catalog", "enrollment", "libraries")
# There were no courses to start yet.
BEFORE = [
    ("catalog", "0006_failed_writes"),
    ("enrollment", "0012_events_in_plain_words"),
    ("libraries", "0007_asked_evenly"),
]


@pytest.mark.django_db
def test_models_hold_nothing_that_no_migration_makes() -> None:
    out = StringIO()
    try:
        call_command("makemigrations", "--check", "--dry-run", "--verbosity", "1", stdout=out)
    except SystemExit:
        pytest.fail(out.getvalue())


def test_every_migration_is_named_by_what_it_does() -> None:
    files = [path for app in APPS for path in (ROOT / app / "migrations").glob("[0-9]*.py")]

    assert [path.name for path in files if "auto" in path.stem or path.stem.endswith("initial")] == []
    assert len(files) >= len(APPS)


def test_numbers_of_migrations_are_used_once() -> None:
    for app in APPS:
        numbers = [path.name[:4] for path in (ROOT / app / "migrations").glob("[0-9]*.py")]

        assert sorted(numbers) == [f"{number:04}" for number in range(1, len(numbers) + 1)]


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_all_migrations_can_be_taken_back_and_made_again() -> None:
    """Made again they leave the same tables, triggers and checks."""
    latest = [key for key in MigrationExecutor(connection).loader.graph.leaf_nodes() if key[0] in APPS]
    before = schema()
    try:
        MigrationExecutor(connection).migrate([(app, "0001_first") for app in APPS])
        between = schema()
    finally:
        MigrationExecutor(connection).migrate(latest)

    assert between != before
    assert schema() == before


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_catalog_from_before_the_rotation_and_the_search_is_taken_along() -> None:
    """More core titles and modules than are allowed by now stay on offer, and every course is found."""
    latest = [key for key in MigrationExecutor(connection).loader.graph.leaf_nodes() if key[0] in APPS]
    try:
        MigrationExecutor(connection).migrate(BEFORE)
        old = MigrationExecutor(connection).loader.project_state(BEFORE).apps.get_model
        provider = old("catalog", "Provider").objects.create(slug="p", name="P", kind="scim")
        programme = old("catalog", "Programme").objects.create(name="L", provider=provider, opens_on=date(2026, 1, 1))
        area = old("catalog", "Area").objects.create(slug="a", name_nl="a", name_fr="a", name_en="a", position=1)
        told = {"provider": provider, "area": area, "language": "nl", "level": "A1", "hours": 3}
        for number in range(34):
            code, is_module = str(number), number > 31
            course = old("catalog", "Course").objects.create(code=code, slug=code, title=f"Titel {code}", **told)
            days = {"offered_from": date(2026, 11, 1), "offered_until": date(2026, 12, 1) if is_module else None}
            role = "module" if is_module else "core"
            old("catalog", "Listing").objects.create(programme=programme, course=course, role=role, **days)
        MigrationExecutor(connection).migrate(latest)

        roles = Listing.objects.order_by("pk").values_list("role", flat=True)
        assert list(roles) == ["core"] * 32 + ["module", "core"]
        unbroken = Listing.objects.values_list("unbroken_from", "unbroken_until").distinct()
        assert set(unbroken) == {(date(2026, 11, 1), None), (date(2026, 11, 1), date(2026, 12, 1))}
        assert len(searching.search("titel", day=date(2026, 11, 15)).hits) == 34
    finally:
        MigrationExecutor(connection).migrate(latest)


def columns() -> dict[tuple[str, str], bool]:
    """Of each, whether a row has to be written with it."""
    query = """
        SELECT table_name, column_name, is_nullable = 'NO' AND column_default IS NULL AND is_identity = 'NO'
        FROM information_schema.columns WHERE table_schema = current_schema()
    """
    with connection.cursor() as cursor:
        cursor.execute(query)
        return {(table, column): must for table, column, must in cursor.fetchall()}


def schema() -> dict[str, list[str]]:
    with connection.cursor() as cursor:
        found = {}
        for name, query in {
            "triggers": "select tgrelid::regclass || ' ' || tgname from pg_trigger where not tgisinternal",
            "constraints": "select conrelid::regclass || ' ' || pg_get_constraintdef(oid) from pg_constraint",
            "indexes": "select indexdef from pg_indexes where schemaname = 'public'",
            "columns": "select table_name || ' ' || column_name || ' ' || data_type || ' ' || is_nullable"
            " from information_schema.columns where table_schema = 'public'",
        }.items():
            cursor.execute(query)
            found[name] = sorted(str(row[0]) for row in cursor.fetchall())
    return found


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_processes_of_the_release_before_still_write() -> None:
    """They run while the database is brought up to date, and name no column that they do not know."""
    latest = [key for key in MigrationExecutor(connection).loader.graph.leaf_nodes() if key[0] in APPS]
    try:
        MigrationExecutor(connection).migrate(BEFORE)
        before = columns()
    finally:
        MigrationExecutor(connection).migrate(latest)

    new = {name: must for name, must in columns().items() if name not in before}
    old_tables = {table for table, _column in before}
    assert ("libraries_user", "wants_course_letters") in new
    assert [name for name, must_be_named in new.items() if must_be_named and name[0] in old_tables] == []


@pytest.mark.django_db(transaction=True)
def test_courses_from_before_have_shown_that_a_number_is_told() -> None:
    latest = [key for key in MigrationExecutor(connection).loader.graph.leaf_nodes() if key[0] == "enrollment"]
    before = [("enrollment", "0019_single_sign_on")]
    run = CourseRun.objects.create(course=make_course(), user=make_user(), saved_at=timezone.now())
    assert run.shown == ""
    try:
        MigrationExecutor(connection).migrate(before)
        MigrationExecutor(connection).migrate(latest)
        run.refresh_from_db()
        assert run.shown == "pseudonym"
        assert saved_by_the_release_before(make_course("Frans")).shown == ""
    finally:
        MigrationExecutor(connection).migrate(latest)


def saved_by_the_release_before(course: Course) -> CourseRun:
    """It still runs while the database is brought up to date, and names no column that it does not know."""
    columns, values = "user_id, course_id, saved_at, activity", [make_user("bo@example.test").pk, course.pk]
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO enrollment_courserun ({columns}) VALUES (%s, %s, now(), 'Started')", values)
    return CourseRun.objects.get(course=course)
