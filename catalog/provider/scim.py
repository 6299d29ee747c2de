"""SCIM 2.0 (RFC 7643, 7644). The base URL ends with the version, such as https://…/v2.

The user name is the email address, because people sign in with it; our own id is the externalId.
"""

import json
from typing import Any
from urllib.parse import quote

import requests

from catalog.provider.client import Access, Account, Connection, Page, Person
from catalog.provider.errors import ProviderError, Refused, Unclear
from catalog.provider.exchange import Answer, Exchange

MEDIA_TYPE = "application/scim+json"
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
PAGE_SIZE = 200
LANGUAGES = {"nl": "nl-BE", "fr": "fr-BE", "en": "en"}


class ScimClient:
    wants_access = False

    def __init__(self, connection: Connection, session: requests.Session) -> None:
        self._connection = connection
        self._session = session

    def find(self, external_id: str) -> Account | None:
        return _find(self._exchange(), external_id)

    def create(self, person: Person) -> Account:
        exchange = self._exchange()
        body = {"schemas": [USER], "externalId": person.external_id, "active": True, **_data(person)}
        try:
            answer = _send(exchange, "POST", "/Users", body)
        except Refused as refusal:
            if refusal.code != "conflict":
                raise
        else:
            return _ours(_account(answer), person.external_id)
        return _already_there(exchange, person.external_id)

    def open(self, account: Account, person: Person) -> Account:
        return self._change(_ours(account, person.external_id), {"active": True, **_data(person)})

    def close(self, account: Account) -> Account:
        return self._change(account, {"active": False})

    def erase(self, account: Account) -> None:
        try:
            _send(self._exchange(), "DELETE", _path(account))
        except Refused as refusal:
            if refusal.code != "not_found":
                raise

    def give_access(self, account: Account, access: Access) -> None:
        """Nothing: an account opens all that the agreement holds."""

    def page(self, after: str | None) -> Page:
        """By index (RFC 7644 §3.4.2.4): whatever comes or goes meanwhile may be listed twice, or not at all."""
        start = int(after) if after else 1
        answer = _send(self._exchange(), "GET", "/Users", params={"startIndex": str(start), "count": str(PAGE_SIZE)})
        total, resources = _listed(answer)
        accounts = [_account_of(resource, answer) for resource in resources]
        following = start + len(accounts)
        return Page(accounts, str(following) if accounts and following <= total else None, total)

    def _change(self, account: Account, values: dict[str, Any]) -> Account:
        exchange = self._exchange()
        operations = [{"op": "replace", "path": name, "value": value} for name, value in values.items()]
        answer = _change(exchange, account, {"schemas": [PATCH], "Operations": operations})
        if not answer.content:  # 204, or 200 from servers that mean it
            answer = _read_back(exchange, _path(account))
        return _account(answer)

    def _exchange(self) -> Exchange:
        return Exchange(self._connection, self._session)


def _send(
    exchange: Exchange,
    method: str,
    path: str,
    body: dict[str, Any] | None = None,
    params: dict[str, str] | None = None,
    if_match: str | None = None,
) -> Answer:
    headers = {"Accept": MEDIA_TYPE}
    if body is not None:
        headers["Content-Type"] = MEDIA_TYPE
    if if_match is not None:
        headers["If-Match"] = if_match
    content = None if body is None else json.dumps(body).encode()
    return exchange.send(method, path, params=params, body=content, headers=headers)


def _find(exchange: Exchange, external_id: str) -> Account | None:
    # A filter's value is a JSON string (RFC 7644 §3.4.2.2): quotes in it cannot end it.
    answer = _send(exchange, "GET", "/Users", params={"filter": f"externalId eq {json.dumps(external_id)}"})
    total, resources = _listed(answer)
    if total and not resources:
        raise answer.not_understood()
    accounts = [_account_of(resource, answer) for resource in resources]
    if any(account.external_id != external_id for account in accounts):
        # Some servers ignore a filter. "Not found" would then be a guess, and a second account its price.
        raise Refused("filter_ignored", "the provider answered with accounts that were not asked for")
    if total > 1 or len(accounts) > 1:
        raise Refused("two_matches", "two accounts at the provider carry the same id of ours")
    return accounts[0] if accounts else None


def _listed(answer: Answer) -> tuple[int, list[object]]:
    page = answer.document()
    total, resources = page.get("totalResults"), page.get("Resources") or []
    if not isinstance(total, int) or not isinstance(resources, list):
        raise answer.not_understood()
    return total, resources


def _already_there(exchange: Exchange, external_id: str) -> Account:
    account = _find(exchange, external_id)
    if account is None:
        raise Refused("name_taken", "another account at the provider has this user name")
    return account


def _change(exchange: Exchange, account: Account, body: dict[str, Any]) -> Answer:
    try:
        return _send(exchange, "PATCH", _path(account), body, if_match=account.version)
    except Refused as error:
        refusal = error
    meanings: dict[str, ProviderError] = {
        "not_found": Unclear("gone", "the account is no longer at the provider"),
        "conflict": Refused("name_taken", "another account at the provider has this user name"),
    }
    raise meanings.get(refusal.code, refusal)


def _read_back(exchange: Exchange, path: str) -> Answer:
    """The change is done, only its outcome is not known yet: whatever fails here means look again."""
    try:
        return _send(exchange, "GET", path)
    except ProviderError as error:
        code, after = error.code, error.after
    raise Unclear(code, "the account was changed, but could not be read again", after)


def _path(account: Account) -> str:
    return f"/Users/{quote(account.remote_id, safe='')}"


def _data(person: Person) -> dict[str, Any]:
    return {
        "userName": person.email,
        "name": {"givenName": person.first_name, "familyName": person.last_name},
        "emails": [{"value": person.email, "primary": True}],
        "preferredLanguage": LANGUAGES.get(person.language, person.language),
    }


def _ours(account: Account, external_id: str) -> Account:
    if account.external_id != external_id:
        raise Refused("not_ours", "the account at the provider does not carry our id")
    return account


def _account(answer: Answer) -> Account:
    return _account_of(answer.document(), answer, answer.headers.get("ETag"))


def _account_of(resource: object, answer: Answer, etag: str | None = None) -> Account:
    if not isinstance(resource, dict) or not isinstance(resource.get("id"), str) or not resource["id"]:
        raise answer.not_understood()
    meta = resource.get("meta")
    version = meta.get("version") if isinstance(meta, dict) else None
    return Account(
        remote_id=resource["id"],
        external_id=_text(resource.get("externalId")),
        email=_email(resource.get("emails")),
        first_name=_name(resource, "givenName"),
        last_name=_name(resource, "familyName"),
        language=_language(resource.get("preferredLanguage")),
        # Left out means active (RFC 7643 §4.1.1 gives it no other default); some servers write it as a word.
        active=str(resource.get("active", True)).lower() != "false",
        version=etag or _text(version),
    )


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
