"""Moodle's web services over REST. The base URL is the Moodle's own address, such as https://moodle.example.be.

Every error is answered with 200, nothing may be sent twice without a look, and what a function did is often not said:
so each change is followed by a look. Our own id is the `idnumber`, which Moodle does not keep unique. People sign in
with the user name: it is the email address where Moodle's rules for names allow it. Moodle makes the first password
and mails it (docs/adr/0021).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from uuid import uuid4

import requests

from catalog.provider.client import MOST_AT_ONCE, Access, Account, Connection, ListedCourse, Page, Person
from catalog.provider.errors import ProviderError, Refused, Unclear
from catalog.provider.exchange import new_session
from catalog.provider.moodle_courses import give_access, listed_courses
from catalog.provider.moodle_rest import Moodle, Row
from catalog.provider.trial import Abilities, Step, StepName, walk

# What the token's service must hold. For the list of courses also `core_course_get_courses`, where it is wanted.
FUNCTIONS = (
    "core_course_get_courses_by_field",
    "core_enrol_get_users_courses",
    "core_user_create_users",
    "core_user_delete_users",
    "core_user_get_users",
    "core_user_get_users_by_field",
    "core_user_update_users",
    "core_webservice_get_site_info",
    "enrol_manual_enrol_users",
    "enrol_manual_unenrol_users",
)
GONE = frozenset({"invaliduserid", "usernotupdateddeleted", "invaliduser"})
# PARAM_USERNAME, where `extendedusernamechars` is off.
_USER_NAME = re.compile(r"[-.@_a-z0-9]{1,100}")


class MoodleClient:
    wants_access = True
    has_list = False
    has_courses = True
    # Four to make it, and two to enrol it and to see where it is enrolled.
    calls_to_open = 6

    def __init__(self, connection: Connection, session: requests.Session) -> None:
        self._connection = connection
        self._session = session

    def find(self, external_id: str) -> Account | None:
        return _find(self._moodle(external_id), external_id)

    def create(self, person: Person) -> Account:
        moodle = self._moodle(*_known(person))
        return _find(moodle, person.external_id) or _created(moodle, person)

    def open(self, account: Account, person: Person) -> Account:
        if account.external_id != person.external_id:
            raise Refused("not_ours", "the account at the provider does not carry our id")
        moodle = self._moodle(*_known(account), *_known(person))
        return _updated(moodle, account, {**_data(person), "suspended": "0"})

    def close(self, account: Account) -> Account:
        return _updated(self._moodle(*_known(account)), account, {"suspended": "1"})

    def erase(self, account: Account) -> None:
        """Moodle keeps a line for each user it has deleted, with the names: only its own requests about personal data
        remove those."""
        moodle = self._moodle(*_known(account))
        try:
            moodle.call("core_user_delete_users", {"userids[0]": account.remote_id}, writes=True)
        except Refused as refusal:
            if moodle.errorcode not in GONE:
                raise refusal

    def give_access(self, account: Account, access: Access) -> None:
        give_access(lambda: self._moodle(*_known(account)), account, access, at=self._connection.base_url)

    def page(self, after: str | None) -> Page:
        """Moodle finds users, and lists none: `core_user_get_users` answers all at once, however many there are."""
        raise Refused("no_list", "Moodle has no list of accounts that can be read in parts")

    def courses(self) -> Sequence[ListedCourse]:
        return listed_courses(self._moodle())

    def find_many(self, external_ids: Sequence[str]) -> Sequence[Account]:
        if len(external_ids) > MOST_AT_ONCE:
            raise ValueError(f"more than {MOST_AT_ONCE} ids")
        return _with_ids(self._moodle(*external_ids), external_ids) if external_ids else []

    def try_out(self) -> Sequence[Step]:
        is_bare = not self._connection.base_url.lower().startswith("https:")
        leave_out = [StepName.LIST, *([StepName.TLS] if is_bare else [])]
        with new_session() as session:
            session.verify = self._session.verify
            other = MoodleClient(self._connection, session)
            tries = [(StepName.ABILITIES, other._abilities), (StepName.LOOK, other._look)]
            return walk(tries, leave_out=leave_out)

    def _abilities(self) -> Abilities:
        answer, told = self._moodle().document("core_webservice_get_site_info", {})
        listed = told.get("functions")
        if not isinstance(listed, list):
            raise answer.not_understood()
        allowed = {function.get("name") for function in listed if isinstance(function, dict)}
        release = re.match(r"\d+(\.\d+)*", str(told.get("release")))
        return Abilities(
            [f"Moodle {release[0]}"] if release else [], [name for name in FUNCTIONS if name not in allowed]
        )

    def _look(self) -> None:
        self.find(str(uuid4()))

    def _moodle(self, *about: str | None) -> Moodle:
        return Moodle(self._connection, self._session, about)


# --- Looking ---


def _find(moodle: Moodle, external_id: str) -> Account | None:
    found = _with_ids(moodle, [external_id])
    if len(found) > 1:
        raise moodle.refused("two_matches", "two accounts at the provider carry the same id of ours")
    return found[0] if found else None


def _with_ids(moodle: Moodle, external_ids: Sequence[str]) -> Sequence[Account]:
    found = [_account(user, moodle) for user in _users(moodle, "idnumber", external_ids)]
    if any(account.external_id not in external_ids for account in found):
        raise moodle.refused("filter_ignored", "the provider answered with accounts that were not asked for")
    return found


def _users(moodle: Moodle, field: str, values: Iterable[str]) -> Sequence[Row]:
    wanted = {f"values[{place}]": value for place, value in enumerate(values)}
    return moodle.listed(moodle.call("core_user_get_users_by_field", {"field": field, **wanted}))


def _is_anybody(moodle: Moodle, email: str) -> bool:
    """Whatever the case in which Moodle keeps the address; it is matched as a pattern there."""
    pattern = re.sub(r"([\\%_])", r"\\\1", email)
    wanted = {"criteria[0][key]": "email", "criteria[0][value]": pattern}
    answer, found = moodle.document("core_user_get_users", wanted)
    return bool(moodle.listed(answer, found.get("users", ())))


# --- Changing ---


def _created(moodle: Moodle, person: Person) -> Account:
    """Moodle may allow one address for many, and then would not refuse a second account: so look for it first."""
    if _users(moodle, "email", [person.email]):
        raise _name_taken(moodle.refused("name_taken", ""))
    told = {**_data(person), "idnumber": person.external_id, "auth": "manual", "createpassword": "1"}
    try:
        moodle.call("core_user_create_users", _of_one("users", told), writes=True)
    except ProviderError as error:
        refusal = error
    else:
        return _seen(moodle, person.external_id)
    if moodle.errorcode == "invalidparameter":
        # A name that is taken and data that are wrong are told alike.
        is_taken = _users(moodle, "username", [_user_name(person)]) or _is_anybody(moodle, person.email)
        raise _name_taken(refusal) if is_taken else refusal
    if moodle.errorcode and isinstance(refusal, Unclear):
        # Something went wrong, perhaps after the account was made.
        with suppress(ProviderError):
            if account := _find(moodle, person.external_id):
                return account
    raise refusal


def _name_taken(failure: ProviderError) -> Refused:
    text = "another account at the provider has this user name or email address"
    return Refused("name_taken", text, answer=failure.answer)


def _seen(moodle: Moodle, external_id: str) -> Account:
    """The account is made, only not seen yet: whatever fails here means look again."""
    try:
        account = _find(moodle, external_id)
    except ProviderError as error:
        failure = error
    else:
        if account is None:
            raise moodle.refused("not_allowed", "the token may not see the ids of accounts")
        return account
    if isinstance(failure, Refused):
        raise failure
    raise _looked_in_vain(failure)


def _updated(moodle: Moodle, account: Account, values: Mapping[str, str]) -> Account:
    told = _of_one("users", {"id": account.remote_id, **values})
    answer = moodle.call("core_user_update_users", told, writes=True)
    if warnings := moodle.warnings_in(answer):
        raise _not_done(moodle, warnings, account, values.get("username"))
    try:
        found = _users(moodle, "id", [account.remote_id])
    except ProviderError as error:
        failure = error
    else:
        return _still_ours(moodle, found, account)
    raise failure if isinstance(failure, Refused) else _looked_in_vain(failure)


def _not_done(moodle: Moodle, warnings: Sequence[str], account: Account, name: str | None) -> ProviderError:
    if GONE.intersection(warnings):
        return moodle.unclear("gone", "the account is no longer at the provider")
    refusal = moodle.refused("bad_request", "the provider does not accept the change")
    if "useremailduplicate" in warnings:
        return _name_taken(refusal)
    if "dmlwriteexception" not in warnings:
        return refusal
    # A user name that is taken breaks a rule of the database, and so may other things.
    holders = _users(moodle, "username", [name]) if name else []
    if any(str(holder["id"]) != account.remote_id for holder in holders):
        return _name_taken(refusal)
    return Unclear("server_error", "the provider's database failed", answer=refusal.answer)


def _still_ours(moodle: Moodle, found: Sequence[Row], account: Account) -> Account:
    if not found:
        raise Unclear("gone", "the account is no longer at the provider")
    seen = _account(found[0], moodle)
    if (seen.remote_id, seen.external_id) != (account.remote_id, account.external_id):
        raise moodle.refused("not_ours", "the account at the provider does not carry our id")
    return seen


def _looked_in_vain(failure: ProviderError) -> Unclear:
    text = "the account was changed, but could not be read again"
    return Unclear(failure.code, text, failure.after, answer=failure.answer, cause=failure.cause)


# --- Data ---


def _data(person: Person) -> dict[str, str]:
    return {
        "username": _user_name(person),
        "email": person.email,
        "firstname": person.first_name,
        "lastname": person.last_name,
        "lang": person.language,
    }


def _user_name(person: Person) -> str:
    name = person.email.lower()
    return name if _USER_NAME.fullmatch(name) else person.external_id.lower()


def _account(user: Row, moodle: Moodle) -> Account:
    suspended, external_id = user.get("suspended"), user.get("idnumber")
    if suspended is None or not isinstance(external_id, str | None):
        raise moodle.refused("not_allowed", "the token may not see whether accounts are suspended")
    return Account(
        remote_id=str(user["id"]),
        external_id=external_id or None,
        email=_text(user.get("email")),
        first_name=_text(user.get("firstname")),
        last_name=_text(user.get("lastname")),
        language=_language(user.get("lang")),
        active=not int(suspended),
    )


def _language(code: object) -> str | None:
    """`nl_kids` is a way of speaking Dutch."""
    return code.partition("_")[0] if isinstance(code, str) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _of_one(name: str, values: Mapping[str, str]) -> dict[str, str]:
    return {f"{name}[0][{key}]": value for key, value in values.items()}


def _known(of: Person | Account) -> list[str | None]:
    """What an operator must not read about the person in what the provider answers."""
    return [of.external_id, of.email, of.first_name, of.last_name]
