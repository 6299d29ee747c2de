"""Lists of cards are fetched at night, with the rules of an upload, and behind the same fuse as cards."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from enrollment import roster_fetching
from enrollment.models import Event
from libraries.models import Institution, Roster, RosterEntry, RosterSource, StaffRole, User
from libraries.rosters import RosterRefused
from tests.catalog.provider.odd_server import odd_server, saying
from tests.certificates import HERE, Authority, trusting
from tests.factories import (
    NOW,
    make_institution,
    make_staff,
)
from tests.rechecks import Clock
from tests.rosters import fetch_tonight, lay_list, numbers, put_on_roster

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


@pytest.fixture
def folder(tmp_path: Path, settings: Settings) -> Path:
    settings.ROSTER_FOLDER = str(tmp_path)
    return tmp_path


@pytest.fixture
def institution() -> Institution:
    return make_institution(card_check="roster", second_fact="last_name")


@pytest.fixture
def source(institution: Institution, folder: Path) -> RosterSource:
    return RosterSource.objects.create(institution=institution)


@pytest.fixture
def una() -> User:
    return make_staff("una@example.test", StaffRole.Role.OPERATOR)


@pytest.fixture
def night() -> Clock:
    return Clock(NOW)


def fresh(source: RosterSource) -> RosterSource:
    return RosterSource.objects.get(pk=source.pk)


def kinds() -> list[str]:
    return list(Event.objects.filter(kind__startswith="roster").order_by("pk").values_list("kind", flat=True))


# --- Taking a list ---


def test_list_is_taken_as_if_it_were_uploaded(source: RosterSource, folder: Path, night: Clock) -> None:
    lay_list(folder, [*numbers(2), ";Peeters"], night)
    assert fetch_tonight(night) == 1
    roster = Roster.objects.get()
    assert (roster.accepted, roster.rejections, roster.imported_by, roster.imported_at) == (
        2,
        [[4, "empty"]],
        None,
        NOW,
    )
    event = Event.objects.get()
    assert (event.kind, event.actor_id, event.old_value, event.new_value) == ("roster_imported", None, 0, 2)
    source = fresh(source)
    assert (source.fetched_at, source.trouble, source.lease_until, len(source.fingerprint)) == (NOW, "", None, 64)


def test_same_list_is_not_taken_twice(source: RosterSource, folder: Path, night: Clock) -> None:
    for taken in (1, 0, 0):
        lay_list(folder, numbers(2), night)
        assert fetch_tonight(night) == taken
    assert (Roster.objects.count(), fresh(source).fetched_at) == (1, NOW + 2 * DAY)


def test_list_that_was_uploaded_by_hand_stays_until_the_next_night(
    source: RosterSource, folder: Path, night: Clock
) -> None:
    """The file of the source has not changed, and is taken once more."""
    lay_list(folder, numbers(2), night)
    fetch_tonight(night)
    put_on_roster(source.institution, "21000001", "01/01/1950", valid_until=NOW.date() + 9 * DAY)
    assert fetch_tonight(night) == 1
    assert sorted(RosterEntry.objects.values_list("number", flat=True)) == ["230000000", "230000001"]
    assert (fetch_tonight(night), fresh(source).roster) == (0, Roster.objects.latest())
    assert Roster.objects.count() == 3


def test_same_list_is_taken_again_when_another_second_fact_is_asked(
    source: RosterSource, folder: Path, night: Clock
) -> None:
    lay_list(folder, numbers(2), night)
    fetch_tonight(night)
    Institution.objects.update(second_fact="birth_date")
    assert fetch_tonight(night) == 1


def test_plain_csv_of_excel_is_read_too(source: RosterSource, folder: Path, night: Clock) -> None:
    lay_list(folder, "Numéro;Nom\r\n21000001;Lefèvre\r\n21000002;Müller\r\n".encode("cp1252"), night)
    assert fetch_tonight(night) == 1
    written = RosterEntry.objects.get(number="21000001").fact_hash
    lay_list(folder, "Numéro;Nom\n21000001;LEFÈVRE\n21000002;Müller\n".encode(), night)
    assert fetch_tonight(night) == 1
    assert RosterEntry.objects.get(number="21000001").fact_hash == written


def test_each_night_once_and_again_in_the_same_night_after_trouble(
    source: RosterSource, folder: Path, night: Clock
) -> None:
    tried = []
    for hour in range(26):
        if hour == 2:
            lay_list(folder, numbers(2), night)
        roster_fetching.fetch_due(now=night)
        tried.append(fresh(source).tried_at == night())
        night.now += timedelta(hours=1)
    assert [hour for hour, was_tried in enumerate(tried) if was_tried] == [0, 1, 2, 22]


@pytest.mark.parametrize("kind", ["by_hand", "sip2"])
def test_institution_that_checks_cards_in_another_way_is_left_alone(
    kind: str, source: RosterSource, folder: Path, night: Clock
) -> None:
    Institution.objects.update(card_check=kind)
    lay_list(folder, numbers(2), night)
    assert (fetch_tonight(night), fresh(source).tried_at) == (0, None)


def test_list_that_another_worker_is_at_is_left_to_it(source: RosterSource, folder: Path, night: Clock) -> None:
    lay_list(folder, numbers(2), night)
    RosterSource.objects.update(lease_until=NOW + timedelta(minutes=1))
    assert not roster_fetching.fetch(source.pk, now=night)
    night.now += timedelta(minutes=1)
    assert roster_fetching.fetch(source.pk, now=night)


# --- What goes wrong ---


@pytest.mark.parametrize(
    ("content", "trouble"),
    [
        (b"", "empty:0"),
        (b"number\n", "no_lines:0"),
        (b"number;last_name\n21000009;\x81\n", "not_utf8:2"),
        (b"PK\x03\x04\x00", "binary:0"),
        (b"number;last_name\n21000009", "truncated:2"),
        (b"name\nPeeters\n", "columns:0"),
        (b"number\n" + b"2" * 5000, "line_too_long:2"),
    ],
)
def test_list_that_is_refused_changes_nothing_and_says_why(
    content: bytes, trouble: str, source: RosterSource, folder: Path, night: Clock
) -> None:
    lay_list(folder, numbers(2), night)
    fetch_tonight(night)
    lay_list(folder, content, night)
    assert fetch_tonight(night) == 0
    after = fresh(source)
    assert (after.trouble, after.fetched_at, RosterEntry.objects.count()) == (trouble, NOW, 2)
    code, line = trouble.split(":")
    assert roster_fetching.trouble_in_words(trouble) == RosterRefused(code, line=int(line)).message
    assert kinds() == ["roster_imported"]


def test_list_that_is_not_there_is_told_and_the_one_before_stays(
    source: RosterSource, folder: Path, night: Clock
) -> None:
    lay_list(folder, numbers(2), night)
    fetch_tonight(night)
    (folder / "antwerpen.csv").unlink()
    assert (fetch_tonight(night), fresh(source).trouble, RosterEntry.objects.count()) == (0, "no_file", 2)


def test_error_of_ours_is_told_by_its_kind_and_others_go_on(
    source: RosterSource, folder: Path, night: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(**_: Any) -> None:
        raise KeyError("Peeters")

    monkeypatch.setattr("enrollment.roster_uploading.take_in", fail)
    lay_list(folder, numbers(2), night)
    assert (fetch_tonight(night), fresh(source).trouble) == (0, "error:KeyError")
    assert "Peeters" not in caplog.text


# --- A download ---


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    authority = Authority(tmp_path)
    with trusting(authority, monkeypatch):
        yield authority


def make_download(institution: Institution, address: str, **fields: Any) -> RosterSource:
    return RosterSource.objects.create(institution=institution, way="download", address=address, **fields)


def test_list_is_downloaded_over_https(institution: Institution, trusted: Authority, night: Clock) -> None:
    with odd_server(saying("200 OK", b"number\n21000001\n"), tls=trusted.server(HERE)) as server:
        source = make_download(institution, server.base_url)
        assert fetch_tonight(night) == 1
    assert (fresh(source).trouble, RosterEntry.objects.get().number) == ("", "21000001")


@pytest.mark.parametrize(
    ("address", "private", "trouble"),
    [
        ("http://127.0.0.1/cards.csv", True, "address_unusable"),
        ("https://127.0.0.1/cards.csv", False, "address_forbidden"),
        ("https://169.254.169.254/latest/", True, "address_forbidden"),
        ("https://127.0.0.1:9/cards.csv", True, "refused"),
    ],
)
def test_address_that_cannot_be_asked_is_told(
    address: str, private: bool, trouble: str, institution: Institution, night: Clock, settings: Settings
) -> None:
    settings.ALLOW_PRIVATE_ADDRESSES = private
    source = make_download(institution, address)
    assert (fetch_tonight(night), fresh(source).trouble) == (0, trouble)


def test_secret_that_is_not_there_is_told_and_nothing_asked(institution: Institution, night: Clock) -> None:
    source = make_download(institution, "https://127.0.0.1:9/", login="leerkaart", secret_name="NOT_SET_ANYWHERE")
    assert (fetch_tonight(night), fresh(source).trouble) == (0, "secret_missing")


# --- The command ---


def run(*arguments: str) -> list[str]:
    out = StringIO()
    call_command("fetch_rosters", *arguments, stdout=out)
    return out.getvalue().splitlines()


def test_command_says_how_each_ended(source: RosterSource, folder: Path, night: Clock) -> None:
    lay_list(folder, numbers(2), night)
    assert run() == ["antwerpen: taken"]
    assert run("antwerpen") == ["antwerpen: nothing new"]
    assert run("antwerpen", "--again") == ["antwerpen: taken"]


def test_command_fails_when_a_list_is_not_in_order(source: RosterSource, folder: Path) -> None:
    with pytest.raises(CommandError, match="Not in order: antwerpen"):
        run()
    with pytest.raises(CommandError, match="No list is fetched for: gent"):
        run("gent")
