"""A list is copied from where it lies whole and complete, or not at all."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from libraries.roster_places import NotFetched, Trouble, copy_from_folder
from outgoing.failures import Failure
from tests.factories import NOW

LIST = b"number\n21000001\n"
SETTLED = NOW - timedelta(minutes=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "rosters"
    folder.mkdir()
    return folder


def lay(path: Path, content: bytes = LIST, *, written_at: datetime = SETTLED) -> Path:
    path.write_bytes(content)
    return date(path, written_at)


def date(path: Path, written_at: datetime) -> Path:
    os.utime(path, (written_at.timestamp(), written_at.timestamp()), follow_symlinks=False)
    return path


def copied(folder: Path | str, **settings: Any) -> bytes:
    to = BytesIO()
    copy_from_folder(str(folder), "antwerpen", to, **{"max_bytes": 10_000, "now": NOW, **settings})
    return to.getvalue()


def trouble(folder: Path | str, **settings: Any) -> Trouble:
    with pytest.raises(NotFetched) as failed:
        copied(folder, **settings)
    return failed.value.trouble


def test_file_that_nobody_has_written_to_for_a_minute_is_copied(folder: Path) -> None:
    lay(folder / "antwerpen.csv")
    assert copied(folder) == LIST


@pytest.mark.parametrize("age", [59, 0, -3600])
def test_file_that_was_just_written_to_is_left(age: int, folder: Path) -> None:
    lay(folder / "antwerpen.csv", written_at=NOW - timedelta(seconds=age))
    assert trouble(folder) == Trouble.NOT_COMPLETE


def test_file_that_is_moved_here_is_complete_at_once(folder: Path) -> None:
    lay(folder / "antwerpen.part").rename(folder / "antwerpen.csv")
    assert copied(folder) == LIST


@pytest.mark.parametrize("more", [b"2", b""])
def test_file_that_changes_while_it_is_read_is_left(folder: Path, more: bytes) -> None:
    path = lay(folder / "antwerpen.csv")

    class Disturbing(BytesIO):
        def write(self, chunk: Any) -> int:
            path.write_bytes(more)
            return super().write(chunk)

    with pytest.raises(NotFetched) as failed:
        copy_from_folder(str(folder), "antwerpen", Disturbing(), max_bytes=10_000, now=NOW)
    assert failed.value.trouble == Trouble.NOT_COMPLETE


def test_file_that_is_too_big_is_not_begun(folder: Path) -> None:
    lay(folder / "antwerpen.csv")
    assert copied(folder, max_bytes=len(LIST)) == LIST
    assert trouble(folder, max_bytes=len(LIST) - 1) == Trouble.TOO_BIG


def test_no_link_is_followed(folder: Path, tmp_path: Path) -> None:
    outside = lay(tmp_path / "secret.csv")
    (folder / "antwerpen.csv").symlink_to(outside)
    assert trouble(folder) == Trouble.NOT_A_FILE
    outside.unlink()
    assert trouble(folder) == Trouble.NOT_A_FILE


def test_folder_and_pipe_are_no_files_and_nobody_waits_for_them(folder: Path) -> None:
    (folder / "antwerpen.csv").mkdir()
    assert trouble(folder) == Trouble.NOT_A_FILE
    (folder / "antwerpen.csv").rmdir()
    os.mkfifo(folder / "antwerpen.csv")
    assert trouble(folder) == Trouble.NOT_A_FILE


def test_what_is_not_there_is_told_apart(folder: Path, tmp_path: Path) -> None:
    assert trouble(folder) == Trouble.NO_FILE
    assert trouble(tmp_path / "elsewhere") == Trouble.NO_FOLDER
    assert trouble(lay(tmp_path / "file")) == Trouble.NO_FOLDER
    assert trouble("") == Trouble.NO_FOLDER


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_file_that_may_not_be_read_is_told(folder: Path) -> None:
    lay(folder / "antwerpen.csv").chmod(0)
    assert trouble(folder) == Trouble.UNREADABLE


def test_every_failure_of_a_download_has_its_words() -> None:
    assert {failure.value for failure in Failure} - set(Trouble.values) == set()
