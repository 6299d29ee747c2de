"""The port: what the portal asks of a provider's platform, whatever protocol the provider speaks."""

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class Connection:
    """Times in seconds. `deadline` bounds one whole call of a `ProviderClient`, all its requests together."""

    base_url: str
    token: str = field(repr=False)
    connect_timeout: float = 3.0
    read_timeout: float = 10.0
    deadline: float = 20.0
    max_bytes: int = 1_000_000


@dataclass(frozen=True)
class Person:
    """What the provider must hold. `external_id` is ours; `language` is nl, fr, en or a full tag."""

    external_id: str
    email: str = field(repr=False)
    first_name: str = field(repr=False)
    last_name: str = field(repr=False)
    language: str


@dataclass(frozen=True)
class Account:
    """What was seen at the provider. `etag` is its version, None where the provider keeps none."""

    remote_id: str
    external_id: str | None
    user_name: str = field(repr=False)
    email: str | None = field(repr=False)
    active: bool
    etag: str | None = None


class ProviderClient(Protocol):
    """Every call makes network requests: never hold a database lock or transaction around it.

    Every call may raise any `ProviderError`; none of them tries anything again by itself.
    """

    def find(self, external_id: str) -> Account | None:
        """Refused "two_matches" when more than one account carries our id."""

    def create(self, person: Person) -> Account:
        """Open an active account, or return the one that carries our id already.

        An account that only has the same user name is never adopted: Refused "name_taken".
        """

    def update(self, account: Account, person: Person, active: bool) -> Account:
        """Bring data and active state to what must be; safe to repeat.

        Unclear "changed_meanwhile" when the account is no longer the version that was seen, Unclear "gone"
        when it no longer exists: look, then decide anew.
        """

    def erase(self, account: Account) -> None:
        """Remove the account and its data for good; one that is gone already counts as removed."""
