"""The port: what the portal asks of a provider's platform, whatever protocol the provider speaks."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from catalog.provider.trial import Step

# So many ids can be asked about in one call (`ProviderClient.find_many`).
MOST_AT_ONCE = 50
# Of an answer.
MOST_BYTES = 1_000_000


class Turn(Protocol):
    def __call__(self, *, writes: bool) -> AbstractContextManager[None]:
        """Entered around each request on the wire; says that it may go, and learns how it went: a ProviderError that
        leaves it, or none. May wait, and may raise an error of its own instead: then nothing is sent.

        `writes`: the request is to change something.
        """


def at_once(*, writes: bool) -> AbstractContextManager[None]:
    """No turn is waited for."""
    return nullcontext()


@dataclass(frozen=True)
class Connection:
    """Times in seconds. `deadline` bounds one whole call of a `ProviderClient`, all its requests together, but not the
    waits for their turns. (`give_access` has it anew for each of its requests: there may be one for each course.)"""

    base_url: str
    token: str = field(repr=False)
    connect_timeout: float = 3.0
    read_timeout: float = 10.0
    deadline: float = 20.0
    max_bytes: int = MOST_BYTES
    turn: Turn = at_once


@dataclass(frozen=True)
class Person:
    """What the provider must hold. `external_id` is ours; `language` is nl, fr, en or a full tag."""

    external_id: str
    email: str = field(repr=False)
    first_name: str = field(repr=False)
    last_name: str = field(repr=False)
    language: str


@dataclass(frozen=True)
class Access:
    """To what the seat gives a right, for platforms that want to be told each course: the provider's codes, and until
    when."""

    courses: Sequence[str]
    until: datetime


@dataclass(frozen=True)
class Account:
    """What was seen at the provider. What it does not tell is None; `version` goes with the next change where the
    provider keeps one, so that a change made meanwhile is noticed."""

    remote_id: str
    external_id: str | None
    email: str | None = field(repr=False)
    first_name: str | None = field(repr=False)
    last_name: str | None = field(repr=False)
    language: str | None
    active: bool
    version: str | None = None


@dataclass(frozen=True)
class Page:
    """A part of the provider's list. `after` leads to the next part, None after the last one; `total` is what the
    provider says that there are, None where it does not say."""

    accounts: Sequence[Account]
    after: str | None
    total: int | None


@dataclass(frozen=True)
class ListedCourse:
    """A course of the provider's own list. What it does not tell is None; the description is plain text, in the
    language of the course."""

    code: str
    title: str
    language: str | None
    description: str | None


class ProviderClient(Protocol):
    """Every call makes network requests: never hold a database lock or transaction around it.

    Every call may raise any `ProviderError`; none of them tries anything again by itself.
    """

    # Whether a seat has to be told course by course (`give_access`).
    wants_access: bool
    # Whether the provider can list its accounts (`page`). Without a list nobody sees accounts that we do not know of.
    has_list: bool
    # Whether the provider can list its courses (`courses`).
    has_courses: bool
    # So many calls it takes at most times to make an account, with all that belongs to it.
    calls_to_open: int

    def find(self, external_id: str) -> Account | None:
        """The account that carries our id, open or closed. Refused "two_matches" when more than one does."""

    def create(self, person: Person) -> Account:
        """Open an active account, or return the one that carries our id and these data already. Whoever cannot be sure
        that no account carries our id must look first: not every provider refuses a second one under another name.

        An account that only has the same name or address is never adopted: Refused "name_taken".
        """

    def open(self, account: Account, person: Person) -> Account:
        """Active, and with these data; safe to repeat.

        Unclear "changed_meanwhile" when the account is no longer as it was seen, where the provider can tell; Unclear
        "gone" when it no longer exists: look, then decide anew. Refused "not_ours" when it does not carry our id.
        """

    def close(self, account: Account) -> Account:
        """No longer active; its data stay. Fails as `open` does."""

    def erase(self, account: Account) -> None:
        """Remove the account and its data for good; one that is gone already counts as removed. It may take the
        provider days: only `find` tells that it is gone."""

    def give_access(self, account: Account, access: Access) -> None:
        """These courses, until that moment, and no others that were given in this way; safe to repeat. Nothing, unless
        `wants_access`. Refused "unknown_course" or "course_closed" for a course that cannot be given."""

    def page(self, after: str | None) -> Page:
        """The accounts of the provider, a part at a time: None asks for the first part. Refused "no_list" where there
        is none, "paging_ignored" where the list does not go on: it is never taken for whole."""

    def find_many(self, external_ids: Sequence[str]) -> Sequence[Account]:
        """All accounts that carry one of these ids, for each none, one or (then a person must look) more, in no order.
        At most `MOST_AT_ONCE` ids."""

    def courses(self) -> Sequence[ListedCourse]:
        """All courses that somebody could be let into, in the provider's order. Refused "not_supported" where there is
        no list of them."""

    def try_out(self) -> Sequence[Step]:
        """On a connection of its own, the steps up to the first after which no other makes sense. Never raises a
        `ProviderError`, and changes nothing at the provider."""
