"""What every test may use."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test import TransactionTestCase
from django.utils import translation
from pytest_django import DjangoDbBlocker

CHROMIUM_ARGUMENTS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Without triggers, which would keep some rows, and ask for an order of the tables.
_EMPTY = """
SET session_replication_role = replica;
DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY %s LOOP
        EXECUTE format('LOCK TABLE %%I IN SHARE ROW EXCLUSIVE MODE', name);
        EXECUTE format('DELETE FROM %%I', name);
    END LOOP;
END $$;
RESET session_replication_role
"""
NO_BROWSER = "no Chromium here: apt-get install chromium, or name another with CHROMIUM=/path"


def chromium() -> str | None:
    return os.environ.get("CHROMIUM") or shutil.which("chromium", path="/usr/bin") or shutil.which("chromium")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    browser_tests = [item for item in items if item.get_closest_marker("browser")]
    for item in browser_tests if chromium() is None else []:
        item.add_marker(pytest.mark.skip(reason=NO_BROWSER))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Said once in plain words, because reasons of skipped tests are not shown by default."""
    skipped = [report for report in terminalreporter.stats.get("skipped", []) if NO_BROWSER in str(report.longrepr)]
    if skipped:
        terminalreporter.write_line(f"{len(skipped)} browser tests skipped: {NO_BROWSER}", yellow=True)


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, object]:
    """Chromium's own sandbox does not work as root."""
    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
    return {"executable_path": str(Path(chromium() or "")), "args": CHROMIUM_ARGUMENTS + as_root}


@pytest.fixture(autouse=True)
def _language_of_the_site() -> None:
    """A page that another test looked at in English leaves English behind."""
    translation.deactivate()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """A server in a thread keeps its connection to the database for as long as a browser keeps one to it: in the end
    they are closed, so that the database can go."""
    yield
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> %s"
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        cursor.execute(others, cursor.fetchone())


@pytest.fixture(scope="session", autouse=True)
def _tables_are_emptied_row_by_row() -> None:
    """After a test that commits. TRUNCATE makes every table and index anew, and Django then the rights of each model,
    which was most of what some tests took. Whoever still writes is waited for, as TRUNCATE would. Where a given server
    does not let us, it is done Django's way."""
    truncate = TransactionTestCase._fixture_teardown  # type: ignore[attr-defined]

    def empty(test: TransactionTestCase) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SHOW is_superuser")
            if cursor.fetchone() == ("on",):
                cursor.execute(_EMPTY, [sorted(_tables())])
                return
        truncate(test)

    TransactionTestCase._fixture_teardown = empty  # type: ignore[attr-defined]


def _tables() -> set[str]:
    """But those that Django fills when it migrates."""
    names = connection.introspection.django_table_names(only_existing=True, include_views=False)
    return set(names) - {ContentType._meta.db_table, Permission._meta.db_table}


@pytest.fixture(scope="session", autouse=True)
def _passwords_are_cheap() -> None:
    """A third of a second for each member of staff was most of what some tests took. The scheme stays the real one, so
    that processes of their own know the passwords too."""
    PBKDF2PasswordHasher.iterations = 1


@pytest.fixture(scope="session", autouse=True)
def _static_files_where_they_are_written() -> None:
    """Collecting and naming them by their content is tested apart, in portal/test_static.py."""
    settings.STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.WHITENOISE_AUTOREFRESH = settings.WHITENOISE_USE_FINDERS = True
