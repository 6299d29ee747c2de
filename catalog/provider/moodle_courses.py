"""To which courses of a Moodle somebody is enrolled, and until when."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html.parser import HTMLParser
from time import monotonic

from catalog.provider.client import Access, Account, ListedCourse
from catalog.provider.errors import Refused
from catalog.provider.moodle_rest import Moodle, Row

STUDENT = "5"
# PHP takes no more than 1,000 variables in a form, unless it is told otherwise.
MOST_AT_ONCE = 100
_KNOWN_SECONDS, _MOST_KNOWN = 600.0, 10_000
# By the Moodle's address and our code: asking for each course anew would take a hundred calls for each member.
_known: dict[tuple[str, str], tuple[str, float]] = {}


def give_access(moodle: Callable[[], Moodle], account: Account, access: Access, *, at: str) -> None:
    """Enrolled always with an end: without one, Moodle would erase the end that there was. What can be given is given,
    also where one of the courses is refused."""
    courses = {code: _course(moodle, code, at) for code in access.courses}
    wanted = [course for course in courses.values() if course]
    for first in range(0, len(wanted), MOST_AT_ONCE):
        _enrol(moodle(), account, wanted[first : first + MOST_AT_ONCE], access)
    for course in _courses_of(moodle(), account):
        if course not in wanted:
            _unenrol(moodle(), account, course)
    if unknown := [code for code, course in courses.items() if course is None]:
        text = f"no course has the ID number or short name {', '.join(unknown[:10])}"
        raise Refused("unknown_course", text, answer=text)


def _enrol(moodle: Moodle, account: Account, courses: Sequence[str], access: Access) -> None:
    """All or nothing, and safe to repeat."""
    values: dict[str, str] = {}
    for place, course in enumerate(courses):
        told = {"roleid": STUDENT, "userid": account.remote_id, "courseid": course, "timeend": _seconds(access)}
        values |= {f"enrolments[{place}][{key}]": value for key, value in told.items()}
    moodle.call("enrol_manual_enrol_users", values, writes=True)


def _unenrol(moodle: Moodle, account: Account, course: str) -> None:
    """Of what was given there in another way, such as to a whole group, nothing is taken back."""
    values = {"enrolments[0][userid]": account.remote_id, "enrolments[0][courseid]": course}
    try:
        moodle.call("enrol_manual_unenrol_users", values, writes=True)
    except Refused as refusal:
        if moodle.errorcode != "wsnoinstance":
            raise refusal


def _courses_of(moodle: Moodle, account: Account) -> Sequence[str]:
    answer = moodle.call("core_enrol_get_users_courses", {"userid": account.remote_id, "returnusercount": "0"})
    return [str(course["id"]) for course in moodle.listed(answer)]


def _course(moodle: Callable[[], Moodle], code: str, at: str) -> str | None:
    known, until = _known.get((at, code), (None, 0.0))
    if known and monotonic() < until:
        return known
    course = _looked_up(moodle(), "idnumber", code) or _looked_up(moodle(), "shortname", code)
    if course:
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        _known[at, code] = (course, monotonic() + _KNOWN_SECONDS)
    return course


def _looked_up(moodle: Moodle, field: str, code: str) -> str | None:
    answer, found = moodle.document("core_course_get_courses_by_field", {"field": field, "value": code})
    courses: Sequence[Mapping[str, object]] = moodle.listed(answer, found.get("courses"))
    return str(courses[0]["id"]) if len(courses) == 1 else None


def _seconds(access: Access) -> str:
    return str(int(access.until.timestamp()))


# --- The list of courses ---


def listed_courses(moodle: Moodle) -> Sequence[ListedCourse]:
    """Of `core_course_get_courses`, which answers all at once. The site itself is among them, and courses that are
    hidden may be; the ID number is told only to who may change the course."""
    rows = moodle.listed(moodle.call("core_course_get_courses", {}))
    return [_listed_course(row) for row in rows if row.get("format") != "site" and row.get("visible", 1)]


def _listed_course(row: Row) -> ListedCourse:
    """Under the code by which it is found when access is given."""
    code = str(row.get("idnumber") or row.get("shortname") or "").strip()
    title = _without_markup(str(row.get("fullname") or row.get("displayname") or ""))
    language = str(row.get("lang") or "").partition("_")[0]
    return ListedCourse(code, title, language or None, _without_markup(str(row.get("summary") or "")) or None)


def _without_markup(html: str) -> str:
    text = _Text()
    text.feed(html)
    text.close()
    lines = (" ".join(line.split()) for line in "".join(text.parts).splitlines())
    return "\n".join(line for line in lines if line)


class _Text(HTMLParser):
    """What a reader sees, each block on a line of its own."""

    _BLOCKS = frozenset({"p", "br", "li", "div", "h1", "h2", "h3", "h4", "tr"})
    _UNSEEN = frozenset({"script", "style"})

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._unseen = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._unseen += tag in self._UNSEEN
        if tag in self._BLOCKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self._unseen -= tag in self._UNSEEN and self._unseen > 0

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.parts.append(data)
