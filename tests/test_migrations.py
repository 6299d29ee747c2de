"""Migrations say what the models say, are named, and can be taken back."""

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

ROOT = Path(__file__).parent.parent
APPS = ("catalog", "enrollment", "libraries")


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
