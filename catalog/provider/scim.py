"""SCIM 2.0 (RFC 7643, 7644). The base URL ends with the version, such as https://…/v2.

The user name is the email address, because people sign in with it; our own id is the externalId.
"""

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import requests

from catalog.provider.client import MOST_AT_ONCE, Access, Account, Connection, ListedCourse, Page, Person
from catalog.provider.errors import ProviderError, Refused, Unclear
from catalog.provider.exchange import Answer, Exchange, new_session
from catalog.provider.trial import Abilities, Step, StepName, walk

MEDIA_TYPE = "application/scim+json"
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
PAGE_SIZE = 100
LANGUAGES = {"nl": "nl-BE", "fr": "fr-BE", "en": "en"}
ABILITIES = ("patch", "filter", "etag", "sort", "bulk", "changePassword")
NEEDED = ("patch", "filter")


class ScimClient:
    wants_access = False
    has_list = True
    has_courses = False
    calls_to_open = 1

    def __init__(self, connection: Connection, session: requests.Session) -> None:
        self._connection = connection
        self._session = session

    def find(self, external_id: str) -> Account | None:
        return _find(self._exchange(external_id), external_id)

    def create(self, person: Person) -> Account:
        exchange = self._exchange(*_known(person))
        body = {"schemas": [USER], "externalId": person.external_id, "active": True, **_data(person)}
        try:
            answer = _send(exchange, "POST", "/Users", body)
        except Refused as error:
            refusal = error
        else:
            return _ours(_account(answer), person.external_id, answer)
        if refusal.code != "conflict":
            raise refusal
        return _already_there(exchange, person.external_id, refusal)

    def open(self, account: Account, person: Person) -> Account:
        if account.external_id != person.external_id:
            raise Refused("not_ours", "the account at the provider does not carry our id")
        return self._change(account, {"active": True, **_data(person)}, *_known(person))

    def close(self, account: Account) -> Account:
        return self._change(account, {"active": False})

    def erase(self, account: Account) -> None:
        try:
            _send(self._exchange(*_known(account)), "DELETE", _path(account), missing="gone")
        except Refused as refusal:
            if refusal.code != "gone":
                raise

    def give_access(self, account: Account, access: Access) -> None:
        """Nothing: an account opens all that the agreement holds."""

    def courses(self) -> Sequence[ListedCourse]:
        """SCIM knows people and groups, and no courses."""
        raise Refused("not_supported", "SCIM has no list of courses")

    def page(self, after: str | None) -> Page:
        """By index (RFC 7644 §3.4.2.4): whatever comes or goes meanwhile may be listed twice, or not at all. `after`
        also holds the first account of the part before: where it comes again, the index was not heeded."""
        start, _, before = (after or "1").partition(" ")
        answer = _send(self._exchange(), "GET", "/Users", params={"startIndex": start, "count": str(PAGE_SIZE)})
        total, resources = _listed(answer)
        accounts = [_account_of(resource, answer) for resource in resources]
        following = int(start) + len(accounts)
        if before and any(account.remote_id == before for account in accounts):
            raise answer.refused("paging_ignored", "the provider sends the same part of its list again")
        if following <= total and not accounts:
            raise answer.refused("paging_ignored", "the provider's list ends before its end")
        return Page(accounts, f"{following} {accounts[0].remote_id}" if following <= total else None, total)

    def find_many(self, external_ids: Sequence[str]) -> Sequence[Account]:
        if len(external_ids) > MOST_AT_ONCE:
            raise ValueError(f"more than {MOST_AT_ONCE} ids")
        return _find_all(self._exchange(*external_ids), external_ids) if external_ids else []

    def try_out(self) -> Sequence[Step]:
        leave_out = () if self._connection.base_url.lower().startswith("https:") else (StepName.TLS,)
        with new_session() as session:
            session.verify = self._session.verify
            other = ScimClient(self._connection, session)
            tries = [
                (StepName.ANSWER, other._abilities),
                (StepName.LOOK, lambda: other._look()),
                (StepName.LIST, lambda: other._first_part()),
            ]
            return walk(tries, leave_out=leave_out)

    def _abilities(self) -> Abilities:
        """RFC 7644 §4. A platform that does not tell may still have them all."""
        try:
            told = _send(self._exchange(), "GET", "/ServiceProviderConfig", missing="not_supported").document()
        except Refused as refusal:
            if refusal.code != "not_supported":
                raise
            return Abilities()
        supported = {name: _supported(told.get(name)) for name in ABILITIES}
        lacks = [name for name in NEEDED if supported[name] is False]
        return Abilities([name for name in ABILITIES if supported[name]], lacks)

    def _look(self) -> None:
        self.find(str(uuid4()))

    def _first_part(self) -> None:
        self.page(None)

    def _change(self, account: Account, values: dict[str, Any], *about: str | None) -> Account:
        exchange = self._exchange(*_known(account), *about)
        operations = [{"op": "replace", "path": name, "value": value} for name, value in values.items()]
        answer = _change(exchange, account, {"schemas": [PATCH], "Operations": operations})
        if not answer.content:  # 204, or 200 from servers that mean it
            answer = _read_back(exchange, _path(account))
        return _account(answer)

    def _exchange(self, *about: str | None) -> Exchange:
        return Exchange(self._connection, self._session, about)


def _send(
    exchange: Exchange,
    method: str,
    path: str,
    body: dict[str, Any] | None = None,
    params: dict[str, str] | None = None,
    if_match: str | None = None,
    missing: str = "not_found",
) -> Answer:
    headers = {"Accept": MEDIA_TYPE}
    if body is not None:
        headers["Content-Type"] = MEDIA_TYPE
    if if_match is not None:
        headers["If-Match"] = if_match
    content = None if body is None else json.dumps(body).encode()
    unread = None if method == "DELETE" else _unread
    return exchange.send(method, path, params=params, body=content, headers=headers, missing=missing, failure_in=unread)


def _unread(answer: Answer) -> ProviderError | None:
    """A page in words instead of an answer concerns everybody: the turn must end with it."""
    if not answer.content and answer.wrote:  # 204
        return None
    return None if answer.is_document() else answer.not_understood()


def _find(exchange: Exchange, external_id: str) -> Account | None:
    answer, total, accounts = _matching(exchange, [external_id])
    if total > 1 or len(accounts) > 1:
        raise answer.refused("two_matches", "two accounts at the provider carry the same id of ours")
    return accounts[0] if accounts else None


def _find_all(exchange: Exchange, external_ids: Sequence[str]) -> Sequence[Account]:
    found: dict[str, Account] = {}
    while True:
        answer, total, accounts = _matching(exchange, external_ids, start=len(found) + 1)
        if any(account.remote_id in found for account in accounts):
            raise answer.refused("paging_ignored", "the provider sends the same part of its list again")
        found |= {account.remote_id: account for account in accounts}
        if len(found) >= total:
            return list(found.values())


def _matching(exchange: Exchange, external_ids: Sequence[str], start: int = 1) -> tuple[Answer, int, Sequence[Account]]:
    # A filter's value is a JSON string (RFC 7644 §3.4.2.2): quotes in it cannot end it.
    params = {"filter": " or ".join(f"externalId eq {json.dumps(external_id)}" for external_id in external_ids)}
    if start > 1:
        params["startIndex"] = str(start)
    answer = _send(exchange, "GET", "/Users", params=params)
    total, resources = _listed(answer)
    if total >= start and not resources:
        raise answer.not_understood()
    accounts = [_account_of(resource, answer) for resource in resources]
    if any(account.external_id not in external_ids for account in accounts):
        # Some servers ignore a filter. "Not found" would then be a guess, and a second account its price.
        raise answer.refused("filter_ignored", "the provider answered with accounts that were not asked for")
    return answer, total, accounts


def _listed(answer: Answer) -> tuple[int, list[object]]:
    page = answer.document()
    total, resources = page.get("totalResults"), page.get("Resources") or []
    if type(total) is not int or not isinstance(resources, list):
        raise answer.not_understood()
    return total, resources


def _supported(told: object) -> bool | None:
    supported = told.get("supported") if isinstance(told, dict) else None
    return supported if isinstance(supported, bool) else None


def _already_there(exchange: Exchange, external_id: str, refusal: Refused) -> Account:
    account = _find(exchange, external_id)
    if account is None:
        raise _name_taken(refusal)
    return account


def _name_taken(refusal: Refused) -> Refused:
    return Refused("name_taken", "another account at the provider has this user name", answer=refusal.answer)


def _change(exchange: Exchange, account: Account, body: dict[str, Any]) -> Answer:
    try:
        return _send(exchange, "PATCH", _path(account), body, if_match=account.version, missing="gone")
    except Refused as error:
        refusal = error
    if refusal.code == "gone":
        raise Unclear("gone", "the account is no longer at the provider", answer=refusal.answer)
    raise _name_taken(refusal) if refusal.code == "conflict" else refusal


def _read_back(exchange: Exchange, path: str) -> Answer:
    """The change is done, only its outcome is not known yet: whatever fails here means look again."""
    try:
        return _send(exchange, "GET", path, missing="gone")
    except ProviderError as error:
        failure = error
    text = "the account was changed, but could not be read again"
    raise Unclear(failure.code, text, failure.after, answer=failure.answer, cause=failure.cause)


def _known(of: Person | Account) -> list[str | None]:
    """What an operator must not read about the person in what the provider answers."""
    return [of.external_id, of.email, of.first_name, of.last_name]


def _path(account: Account) -> str:
    return f"/Users/{quote(account.remote_id, safe='')}"


def _data(person: Person) -> dict[str, Any]:
    return {
        "userName": person.email,
        "name": {"givenName": person.first_name, "familyName": person.last_name},
        "emails": [{"value": person.email, "primary": True}],
        "preferredLanguage": LANGUAGES.get(person.language, person.language),
    }


def _ours(account: Account, external_id: str, answer: Answer) -> Account:
    if account.external_id != external_id:
        raise answer.refused("not_ours", "the account at the provider does not carry our id")
    return account


def _account(answer: Answer) -> Account:
    return _account_of(answer.document(), answer, answer.headers.get("ETag"))


def _account_of(resource: object, answer: Answer, etag: str | None = None) -> Account:
    if not isinstance(resource, dict) or not isinstance(resource.get("id"), str) or not resource["id"]:
        raise answer.not_understood()
    return Account(
        remote_id=resource["id"],
        external_id=_text(resource.get("externalId")),
        email=_email(resource.get("emails")),
        first_name=_name(resource, "givenName"),
        last_name=_name(resource, "familyName"),
        language=_language(resource.get("preferredLanguage")),
        # Left out means active (RFC 7643 §4.1.1 gives it no other default); some servers write it as a word.
        active=str(resource.get("active", True)).lower() != "false",
        version=_version(resource.get("meta"), etag),
    )


def _version(meta: object, etag: str | None) -> str | None:
    """The body's, where it is a tag: what stands between may weaken the header's, and the server then does not know
    its own version again."""
    told = _text(meta.get("version")) if isinstance(meta, dict) else None
    return told if told and told.endswith('"') else etag or told


def _name(resource: dict[str, Any], part: str) -> str | None:
    name = resource.get("name")
    return _text(name.get(part)) if isinstance(name, dict) else None


def _language(tag: object) -> str | None:
    ours = {theirs: code for code, theirs in LANGUAGES.items()}
    return ours.get(tag, tag) if isinstance(tag, str) else None


def _email(emails: object) -> str | None:
    found = [email for email in emails if isinstance(email, dict)] if isinstance(emails, list) else []
    first = sorted(found, key=lambda email: email.get("primary") is not True)[:1]
    return _text(first[0].get("value")) if first else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
