"""After a restore: erase again whoever is on the list of erasures and there again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from enrollment import erase_plan, erasing, erasure_list
from enrollment.erasure_list import Entry, Unreadable
from enrollment.models import Erasure, ProviderAccount
from libraries.models import User

_AT_ONCE = 2000


@dataclass
class Found:
    """`again`: who has to be erased, by the number of their row, and the line that says so; of several accounts of one
    person the one that stayed comes first. `foreign` lines were written under a key that the portal does not have."""

    entries: int = 0
    foreign: int = 0
    unreadable: list[int] = field(default_factory=list)
    again: dict[int, Entry] = field(default_factory=dict)


def look() -> Found:
    """Whoever is on the list and is not erased; somebody who came back after the wish is another row, and stays.
    Changes nothing. Raises ListTrouble."""
    found, wishes, names = Found(), dict[str, Entry](), erasure_list.names_of_keys()
    for line in erasure_list.read():
        if isinstance(line, Unreadable):
            found.unreadable.append(line.line)
            continue
        found.entries += 1
        found.foreign += line.under not in names
        wishes |= dict.fromkeys(line.keys, line)
    if wishes:
        erased = set(Erasure.objects.filter(erased_here_at__isnull=False).values_list("user_id", flat=True))
        for _place, pk, entry in sorted(_persons(wishes), key=lambda each: each[:2]):
            if pk not in erased:
                found.again.setdefault(pk, entry)
    return found


def _persons(wishes: dict[str, Entry]) -> Iterable[tuple[int, int, Entry]]:
    """By their own row, or by that of an account at a provider."""
    for pk, joined in User.objects.order_by("pk").values_list("pk", "date_joined").iterator(chunk_size=_AT_ONCE):
        for place, entry in _wishes(wishes, erasure_list.keys_of_person(pk, joined)):
            yield place, pk, entry
    accounts = ProviderAccount.objects.order_by("pk").values_list("user_id", "external_id")
    for pk, external_id in accounts.iterator(chunk_size=_AT_ONCE):
        for place, entry in _wishes(wishes, erasure_list.keys_of_account(external_id)):
            yield place, pk, entry


def _wishes(wishes: dict[str, Entry], keys: Iterable[str]) -> Iterable[tuple[int, Entry]]:
    return [(wishes[key].keys.index(key), wishes[key]) for key in keys if key in wishes]


def erase(found: Found, *, now: datetime) -> dict[int, str]:
    """Here at once, at providers as it was owed before; says of whom it could not be done, and why. Raises ListTrouble
    where the list cannot be written."""
    covered, left = set[int](), dict[int, str]()
    for pk, entry in found.again.items():
        if pk in covered:
            continue
        try:
            if not _erase(pk, entry, now=now):
                left[pk] = "a letter is being sent"
            covered |= erase_plan.people_of(pk)
        except erasing.CannotErase as error:
            left[pk] = error.obstacle.value
        except erasure_list.ListTrouble:
            raise
        except Exception as error:  # what ails one must not keep the others; only its kind: it may quote a row
            left[pk] = type(error).__name__
    return left


def _erase(pk: int, entry: Entry, *, now: datetime) -> bool:
    """Says whether it is done here."""
    erasure = erasing.ask(user_id=pk, by=None, now=now, again=entry)
    erasing.write_down(erasure, now=now)
    done = erasing.erase_here(erasure_id=erasure.pk, now=now)
    return done or Erasure.objects.filter(pk=erasure.pk, erased_here_at__isnull=False).exists()


def look_before_creating(*, now: datetime) -> int:
    """What was made at providers since the backup is not known any more: no account is opened from now on without a
    look. Says of how many that was not so."""
    return ProviderAccount.objects.filter(first_claimed_at=None).update(first_claimed_at=now)
