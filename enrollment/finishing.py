"""A course that somebody has finished: once and for good, with a certificate, and with a letter if they wish."""

from __future__ import annotations

import re
import secrets
from datetime import datetime

from enrollment import history
from enrollment.models import CourseRun, Enrollment, Event, Letter

# Typed from paper: no vowels, so that it says nothing, and nothing that is easily taken for another (0 O, 1 I L, 5 S).
# Of 24 letters and digits twelve are 55 bits; guesses are counted (views.certificates).
_ALPHABET = "BCDFGHJKMPQRTVWXY2346789"
_GROUPS, _IN_A_GROUP = 3, 4


def finish(run: CourseRun, *, at: datetime, now: datetime) -> bool:
    """In the transaction of what tells of it, which has the run's row locked; says whether it was the first time.

    `at` is when it was finished, as it was told: it stands on the certificate, neither before the start nor in a time
    to come. What is told later takes nothing back: who looks at a finished course again may score lower.
    """
    assert run.started_at is not None
    first = CourseRun.objects.filter(pk=run.pk, completed_at=None)
    completed_at = max(run.started_at, min(at, now))
    if not first.update(completed_at=completed_at, certificate_code=_new_code()):
        return False
    enrollment = Enrollment.objects.select_related("share", "user").get(course_runs=run)
    history.record(Event.Kind.COURSE_FINISHED, now=now, enrollment=enrollment, new_value=run.course_id)
    if enrollment.user.wants_course_letters:
        Letter.objects.create(
            kind=Letter.Kind.COURSE_FINISHED,
            enrollment=enrollment,
            user_id=run.user_id,
            course_run=run,
            owed_at=now,
            due_at=now,
        )
    return True


def code_in(typed: str) -> str:
    """The code of a certificate as it is kept, however it was typed; empty where it can be none."""
    plain = re.sub(r"[\s\u2010-\u2015-]", "", typed.upper())
    if len(plain) != _GROUPS * _IN_A_GROUP or not set(plain) <= set(_ALPHABET):
        return ""
    return _grouped(plain)


def _new_code() -> str:
    return _grouped("".join(secrets.choice(_ALPHABET) for _ in range(_GROUPS * _IN_A_GROUP)))


def _grouped(plain: str) -> str:
    return "-".join(plain[start : start + _IN_A_GROUP] for start in range(0, len(plain), _IN_A_GROUP))
