"""The list outside the database: only added to, on the disk before anything is erased; nobody can be read from it."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from django.conf import LazySettings

from enrollment import erasing, erasure_list
from enrollment.erasure_list import Entry, ListTrouble, Unreadable
from enrollment.models import Erasure
from enrollment.reports.audit import audit
from libraries.models import User
from tests.erasures import LATER, erasures
from tests.factories import make_user

__all__ = ["erasures"]
AT = datetime(2026, 7, 3, 12, 2, tzinfo=UTC)
ENTRY = Entry(AT, "the-code", ["a" * 64, "b" * 64])


def waiting() -> list[str]:
    return [each.check.name for each in audit(now=LATER.replace(year=2027)) if not each.holds]


def test_lines_are_read_as_they_were_written(erasures: Path) -> None:
    erasure_list.append(ENTRY)
    erasure_list.append(Entry(AT, "another", []))
    assert list(erasure_list.read()) == [ENTRY, Entry(AT, "another", [])]


def test_line_that_a_crash_left_half_spoils_no_other(erasures: Path) -> None:
    erasure_list.append(ENTRY)
    with erasures.open("a") as file:
        file.write('{"at": "2026-')
    erasure_list.append(ENTRY)
    assert list(erasure_list.read()) == [ENTRY, Unreadable(2), ENTRY]


@pytest.mark.parametrize(
    "line",
    [
        *("nonsense", "[]", "3", '{"at": "2026-07-03", "code": "x", "keys": []}', '{"at": 3}', "\x00", "[" * 100_000),
        *(
            f'{{"at": "2026-07-03T12:00:00Z", "code": "{code}", "keys": [], "under": ""}}'
            for code in ("", "x" * 41, "a/b", "\\u0000")
        ),
    ],
)
def test_line_that_is_none_of_ours_is_named_by_its_number(line: str, erasures: Path) -> None:
    erasures.write_text(f"\n{line}\n")
    assert list(erasure_list.read()) == [Unreadable(2)]


def _append(path: str, number: int) -> None:
    for turn in range(50):
        erasure_list.append(Entry(AT, f"{number}-{turn}", ["c" * 64] * 20))


def test_several_processes_write_whole_lines(erasures: Path) -> None:
    fork = multiprocessing.get_context("fork")
    writers = [fork.Process(target=_append, args=(str(erasures), number)) for number in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0] * 4
    read = list(erasure_list.read())
    assert sorted(each.code for each in read if isinstance(each, Entry)) == sorted(
        f"{number}-{turn}" for number in range(4) for turn in range(50)
    )


@pytest.mark.parametrize("name", ["", "/nonexistent/erasures", "/"])
def test_list_that_is_not_there_is_not_made(name: str, settings: LazySettings) -> None:
    settings.ERASURE_LIST = name
    for use in (erasure_list.check, lambda: erasure_list.append(ENTRY), lambda: list(erasure_list.read())):
        with pytest.raises(ListTrouble):
            use()
    assert not os.path.exists("/nonexistent")


def test_disk_that_takes_half_a_line_is_trouble(erasures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda file, data: real(file, data[:20]))
    with pytest.raises(ListTrouble, match="OSError"):
        erasure_list.append(ENTRY)


def test_it_is_on_the_disk_before_anything_is_erased(db: None, erasures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    real_sync, real_erase = os.fsync, erasing.erase_here

    def sync(file: int) -> None:
        real_sync(file)
        steps.append("on the disk")

    def erase(*, erasure_id: int, now: datetime) -> bool:
        steps.append("erased")
        return real_erase(erasure_id=erasure_id, now=now)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(erasing, "erase_here", erase)
    user = make_user()
    erasing.ask(user_id=user.pk, by=user, now=LATER)
    erasing.erase_due(now=LATER)
    assert steps == ["on the disk", "erased"]


def test_without_the_list_nothing_is_erased_here_and_the_operator_is_told(
    db: None, erasures: Path, caplog: pytest.LogCaptureFixture
) -> None:
    user = make_user()
    erasure = erasing.ask(user_id=user.pk, by=user, now=LATER)
    erasures.unlink()
    assert erasing.erase_due(now=LATER) == 0
    assert User.objects.get(pk=user.pk).email == "ada@example.test"
    assert [(each.levelno, each.getMessage()) for each in caplog.records] == [
        (logging.ERROR, "erasures wait: the list of erasures cannot be written (FileNotFoundError)")
    ]
    assert waiting() == ["erasures_go_on"]
    erasures.touch()
    assert (erasing.erase_due(now=LATER), waiting()) == (2, [])
    assert Erasure.objects.get(pk=erasure.pk).listed_at == LATER


def test_line_holds_keyed_hashes_alone_and_is_written_once(db: None, erasures: Path) -> None:
    user = make_user(first_name="Ada", last_name="Peeters")
    erasure = erasing.ask(user_id=user.pk, by=user, now=LATER)
    for _ in range(3):
        erasing.erase_due(now=LATER)
    (line,) = erasures.read_text().splitlines()
    told = json.loads(line)
    told_of_key = {"under": erasure_list.names_of_keys()[0]}
    assert told == {"at": LATER.isoformat(), "code": erasure.code, "keys": told["keys"], **told_of_key}
    assert [len(key) for key in told["keys"]] == [64]


def test_hashes_depend_on_the_key_and_are_found_under_an_earlier_one(settings: LazySettings) -> None:
    before, account = erasure_list.keys_of_person(7, AT), UUID(int=7)
    before += erasure_list.keys_of_account(account)
    old, settings.SECRET_KEY = settings.SECRET_KEY, "another-" * 10
    now = erasure_list.keys_of_person(7, AT) + erasure_list.keys_of_account(account)
    assert not set(before) & set(now)
    settings.SECRET_KEY_FALLBACKS = [old]
    later = erasure_list.keys_of_person(7, AT) + erasure_list.keys_of_account(account)
    assert sorted(later) == sorted([*before, *now])


def test_same_number_with_another_beginning_is_somebody_else() -> None:
    assert erasure_list.keys_of_person(7, AT) != erasure_list.keys_of_person(7, AT.replace(microsecond=1))
