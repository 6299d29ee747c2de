"""The functions of Moodle's web services that the portal calls, with Moodle's own manners."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from portal.sandbox.moodle_site import Course, Enrolment, MoodleUser, Site

STUDENT, LANGUAGES = 5, ("en", "fr", "nl")
RELEASE = "4.4.1+ (Build: 20240628)"
_USER_NAME = re.compile(r"[-.@_a-z0-9]+")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_SEARCHED = ("id", "idnumber", "username", "email")
_CHANGED = ("username", "email", "firstname", "lastname", "lang", "idnumber", "suspended")

Values = Mapping[str, Any]


class MoodleException(Exception):
    def __init__(self, errorcode: str, message: str, kind: str = "moodle_exception") -> None:
        super().__init__(errorcode)
        self.told = {"exception": kind, "errorcode": errorcode, "message": message}


def invalid() -> MoodleException:
    return MoodleException("invalidparameter", "Invalid parameter value detected", "invalid_parameter_exception")


def create_users(site: Site, values: Values) -> object:
    """A batch is all or nothing. Whatever is wrong is told in the same words."""
    wanted = [_new_user(user) for user in _listed(values, "users")]
    for place, user in enumerate(wanted):
        earlier = [*site.users.values(), *wanted[:place]]
        if any(_same(user, other) for other in earlier):
            raise invalid()
    made = [site.add(**{key: getattr(user, key) for key in (*_CHANGED, "auth")}) for user in wanted]
    return [{"id": user.id, "username": user.username} for user in made]


def _new_user(told: Values) -> MoodleUser:
    try:
        user = MoodleUser(0, *(told[name] for name in ("username", "email", "firstname", "lastname")))
    except KeyError:
        raise invalid() from None
    user = replace(user, **{name: told[name] for name in ("idnumber", "lang", "auth") if name in told})
    has_password = told.get("password") or told.get("createpassword") == "1"
    if user.auth != "manual" or not has_password or not (user.firstname and user.lastname) or not _is_valid(user):
        raise invalid()
    return user


def _is_valid(user: MoodleUser) -> bool:
    return bool(_USER_NAME.fullmatch(user.username) and _EMAIL.fullmatch(user.email) and user.lang in LANGUAGES)


def _same(user: MoodleUser, other: MoodleUser) -> bool:
    return user.username == other.username or user.email.lower() == other.email.lower()


def update_users(site: Site, values: Values) -> object:
    """Each for itself; what could not be done stands among the warnings."""
    warnings = []
    for told in _listed(values, "users"):
        if code := _update(site, told):
            warnings.append({"item": "user", "itemid": int(told["id"]), "warningcode": code, "message": "Not updated"})
    return {"warnings": warnings}


def _update(site: Site, told: Values) -> str:
    user = site.users.get(int(told["id"]))
    if user is None:
        return "invaliduserid"
    changes = {name: told[name] for name in _CHANGED if name in told}
    if "suspended" in changes:
        changes["suspended"] = changes["suspended"] == "1"
    changed = replace(user, **changes)
    others = [other for other in site.users.values() if other.id != user.id]
    if not _is_valid(changed):
        raise invalid()
    if any(other.email.lower() == changed.email.lower() for other in others):
        return "useremailduplicate"
    if any(other.username == changed.username for other in others):
        return "dmlwriteexception"
    site.save(changed)
    return ""


def delete_users(site: Site, values: Values) -> object:
    users = [site.users.get(int(user)) for user in _listed(values, "userids")]
    if None in users:
        raise MoodleException("invaliduser", "Invalid user")
    for user in filter(None, users):
        site.delete(user)
    return None


def get_users_by_field(site: Site, values: Values) -> object:
    if values.get("field") not in _SEARCHED:
        raise MoodleException("codingerror", "Coding error detected", "coding_exception")
    return [_shown(user) for user in site.with_value(values["field"], _listed(values, "values"))]


def get_users(site: Site, values: Values) -> object:
    """Only by address, as a pattern of SQL in which a backslash takes a letter for itself."""
    (criterion,) = _listed(values, "criteria")
    ways = {"%": ".*", "_": "."}
    parts = re.findall(r"\\.|.", criterion["value"])
    pattern = "".join(ways.get(part, re.escape(part[-1])) for part in parts)
    found = [user for user in site.users.values() if re.fullmatch(pattern, user.email, re.IGNORECASE)]
    return {"users": [_shown(user) for user in found], "warnings": []}


def _shown(user: MoodleUser) -> dict[str, object]:
    shown = {name: getattr(user, name) for name in ("id", *_CHANGED, "auth")}
    if not user.idnumber:
        del shown["idnumber"]
    return {**shown, "fullname": f"{user.firstname} {user.lastname}", "profileimageurl": "https://example.test/f1"}


def get_courses_by_field(site: Site, values: Values) -> object:
    field = values.get("field", "")
    found = [course for course in site.courses.values() if not field or getattr(course, field) == values.get("value")]
    return {"courses": [_course(course) for course in found], "warnings": []}


def get_courses(site: Site, values: Values) -> object:
    """The site itself is the first of them."""
    front = {"id": 1, "idnumber": "", "shortname": "front", "fullname": "The site", "format": "site", "visible": 1}
    return [front, *(_listed_course(course) for course in site.courses.values())]


def _listed_course(course: Course) -> dict[str, object]:
    told = {"fullname": course.fullname or course.shortname, "summary": course.summary, "summaryformat": 1}
    return {**_course(course), **told, "format": "topics", "lang": course.lang, "visible": course.visible}


def get_users_courses(site: Site, values: Values) -> object:
    user = int(values["userid"])
    active = [each for each in site.enrolments.values() if each.user == user and each.is_active]
    extra = {"progress": None, "completed": False, "lastaccess": None}
    return [{**_course(site.courses[each.course]), **extra} for each in active]


def _course(course: Course) -> dict[str, object]:
    return {"id": course.id, "idnumber": course.idnumber, "shortname": course.shortname}


def enrol_users(site: Site, values: Values) -> object:
    """Told again, it is done again: an end that is left out is erased."""
    enrolments = _listed(values, "enrolments")
    for told in enrolments:
        _require_open(site, int(told["courseid"]))
        if int(told["roleid"]) != STUDENT:
            raise MoodleException("wsusercannotassign", "You don't have the permission to assign this role")
        if int(told["userid"]) not in site.users:
            raise MoodleException("invaliduser", "Invalid user")
    for told in enrolments:
        site.enrol(Enrolment(int(told["userid"]), int(told["courseid"]), int(told.get("timeend", 0))))
    return None


def unenrol_users(site: Site, values: Values) -> object:
    enrolments = _listed(values, "enrolments")
    for told in enrolments:
        _require_open(site, int(told["courseid"]))
    for told in enrolments:
        enrolment = site.enrolments.get((int(told["userid"]), int(told["courseid"])))
        if enrolment and enrolment.by_hand:
            site.unenrol(enrolment.user, enrolment.course)
    return None


def _require_open(site: Site, course: int) -> None:
    if course not in site.courses:
        raise MoodleException("invalidrecord", "Can't find data record in database table course.")
    if not site.courses[course].is_open:
        raise MoodleException("wsnoinstance", "Manual enrolment plugin instance doesn't exist or is disabled")


def _listed(values: Values, name: str) -> Sequence[Any]:
    listed = values.get(name)
    if not isinstance(listed, dict):
        raise invalid()
    return list(listed.values())


FUNCTIONS: Mapping[str, Callable[[Site, Values], object]] = {
    "core_course_get_courses": get_courses,
    "core_course_get_courses_by_field": get_courses_by_field,
    "core_enrol_get_users_courses": get_users_courses,
    "core_user_create_users": create_users,
    "core_user_delete_users": delete_users,
    "core_user_get_users": get_users,
    "core_user_get_users_by_field": get_users_by_field,
    "core_user_update_users": update_users,
    "enrol_manual_enrol_users": enrol_users,
    "enrol_manual_unenrol_users": unenrol_users,
}
