"""The Moodle's users, courses and enrolments: in memory, and kept over a restart in a journal."""

from __future__ import annotations

import itertools
import json
import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FIRST_USER, FIRST_COURSE = 3, 2  # as after an installation: the guest, the administrator, the front page


@dataclass
class MoodleUser:
    id: int
    username: str
    email: str
    firstname: str
    lastname: str
    idnumber: str = ""
    lang: str = "en"
    auth: str = "manual"
    suspended: bool = False
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat())


@dataclass(frozen=True)
class Course:
    id: int
    idnumber: str
    shortname: str
    is_open: bool = True  # somebody can be enrolled by hand
    fullname: str = ""
    summary: str = ""
    lang: str = ""
    visible: int = 1


@dataclass
class Enrolment:
    user: int
    course: int
    timeend: int
    by_hand: bool = True

    @property
    def is_active(self) -> bool:
        return not self.timeend or self.timeend > time.time()


class Site:
    """One line of JSON a change, written before it is answered. Whoever reads or changes it holds the lock."""

    def __init__(self, journal: Path, codes: Sequence[str]) -> None:
        self.lock = threading.RLock()
        self.users: dict[int, MoodleUser] = {}
        self.enrolments: dict[tuple[int, int], Enrolment] = {}
        self.courses = {
            number: Course(number, code, f"course-{code}") for number, code in enumerate(codes, FIRST_COURSE)
        }
        last = FIRST_USER - 1
        for line in _lines(journal):
            self._apply(line)
            last = max(last, line.get("user", {}).get("id", 0), line.get("deleted", 0))
        self._ids = itertools.count(last + 1)
        journal.parent.mkdir(parents=True, exist_ok=True)
        self._journal = journal.open("ab", buffering=0)

    def add(self, **values: Any) -> MoodleUser:
        user = MoodleUser(id=next(self._ids), **values)
        self.save(user)
        return user

    def save(self, user: MoodleUser) -> None:
        self._note({"user": asdict(user)})

    def delete(self, user: MoodleUser) -> None:
        self._note({"deleted": user.id})

    def enrol(self, enrolment: Enrolment) -> None:
        self._note({"enrolled": asdict(enrolment)})

    def unenrol(self, user: int, course: int) -> None:
        self._note({"unenrolled": [user, course]})

    def with_value(self, field: str, values: Sequence[str]) -> list[MoodleUser]:
        return [user for user in self.users.values() if str(getattr(user, field)) in values]

    def close(self) -> None:
        self._journal.close()

    def _note(self, change: dict[str, Any]) -> None:
        self._journal.write(json.dumps(change).encode() + b"\n")
        self._apply(change)

    def _apply(self, change: dict[str, Any]) -> None:
        match change:
            case {"user": values}:
                self.users[values["id"]] = MoodleUser(**values)
            case {"deleted": user}:
                self.users.pop(user, None)
                self.enrolments = {key: kept for key, kept in self.enrolments.items() if key[0] != user}
            case {"enrolled": values}:
                self.enrolments[values["user"], values["course"]] = Enrolment(**values)
            case {"unenrolled": [user, course]}:
                self.enrolments.pop((user, course), None)


def _lines(journal: Path) -> Iterator[dict[str, Any]]:
    """The last line may have been cut off by a kill: nobody was answered for it."""
    if not journal.exists():
        return
    whole, _, rest = journal.read_bytes().rpartition(b"\n")
    if rest:
        os.truncate(journal, len(whole) + 1 if whole else 0)
    yield from map(json.loads, whole.splitlines())
