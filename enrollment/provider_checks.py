"""A training company's platform: change how it is asked, and test the connection, each on record.

A test takes seconds, and is never made inside a transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from functools import partial

from django.db import models, transaction
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from catalog import line, reaching
from catalog.models import Provider
from catalog.provider import registry
from catalog.provider.trial import Step
from enrollment import history, outcomes
from enrollment.models import Event, ProviderAccount
from libraries import limits, scoping
from libraries.models import StaffRole, User
from libraries.secrets import secret_of

# By all together, of one provider: a test makes calls, and calls are what a provider counts.
TESTS, PERIOD = 6, timedelta(minutes=1)
GOOD = "good"
# For each step of a test.
TEST_SECONDS = 10.0
Role = StaffRole.Role
# What leads to another platform: the ids in the accounts' rows are of the one they were opened on.
PLACE = frozenset({"kind", "base_url"})
# What may have kept it from answering.
WAY = PLACE | {"secret_name"}


class Obstacle(models.TextChoices):
    NOT_YOURS = "not_yours", _("Only operators do this.")
    TOO_OFTEN = "too_often", _("The connection was tested very often. Please wait a minute and try again.")
    ACCOUNTS_THERE = (
        "accounts_there",
        _(
            "Accounts are known at this platform, and their ids hold nowhere else. Make another provider for another"
            " platform. If it is the same one, with the same accounts, at another address, say so below."
        ),
    )


class Refused(Exception):
    """Nothing was changed, and nobody was asked."""

    def __init__(self, obstacle: Obstacle) -> None:
        super().__init__(obstacle)
        self.obstacle = obstacle


def may_test(user: User) -> bool:
    return scoping.may(user, Role.COORDINATOR, Role.OPERATOR)


def has_accounts(provider_id: int) -> bool:
    """Whether any account is known at the platform; by index, however many there are."""
    return ProviderAccount.objects.filter(~Q(remote_id=""), provider_id=provider_id).exists()


def leads_elsewhere(before: Provider, kind: str, base_url: str) -> bool:
    """Whether it may be another platform; an address with a slash more or less is the same."""
    return kind != before.kind or base_url.rstrip("/") != before.base_url.rstrip("/")


def save(
    provider: Provider, *, by: User, now: datetime, fields: Collection[str] | None = None, moved: bool = False
) -> None:
    """A new provider, or these fields of one. `moved`: it is the same platform with the same accounts, at another
    address; of another kind it never is. Raises Refused."""
    if not scoping.may(by, Role.OPERATOR):
        raise Refused(Obstacle.NOT_YOURS)
    if fields is not None and not fields:
        return
    with transaction.atomic():
        if fields is not None and PLACE.intersection(fields):
            before = Provider.objects.select_for_update(no_key=True).get(pk=provider.pk)
            same = moved and provider.kind == before.kind
            if leads_elsewhere(before, provider.kind, provider.base_url) and not same and has_accounts(provider.pk):
                raise Refused(Obstacle.ACCOUNTS_THERE)
        provider.save(update_fields=fields)
        names = ", ".join(sorted(fields or ()))
        history.record(Event.Kind.PROVIDER_CHANGED, now=now, by=by, provider_id=provider.pk, words=names)


def try_out(provider: Provider, *, by: User, now: datetime) -> Sequence[Step]:
    """Step by step, with the settings as they are saved, in turn with the workers' calls. Where the provider is down,
    it is the next try, and one that goes well brings it back. Raises Refused."""
    if not may_test(by):
        raise Refused(Obstacle.NOT_YOURS)
    if not limits.allow("provider tested", str(provider.pk), limit=TESTS, per=PERIOD, now=now):
        raise Refused(Obstacle.TOO_OFTEN)
    was_down = line.state(provider.pk, now=now).down_since is not None
    if was_down and line.retry_now(provider.pk, now=now):
        line.admits(provider.pk, now=now)
    steps = _walk(provider)
    if was_down:
        outcomes.end_probe(provider.pk, now=now)
    trouble = next((step.trouble for step in steps if step.trouble), GOOD)
    history.record(Event.Kind.PROVIDER_TESTED, now=now, by=by, provider_id=provider.pk, reason=trouble[:20])
    return steps


def _walk(provider: Provider) -> Sequence[Step]:
    connection = partial(reaching.connection_to, provider, secret_of=secret_of, deadline=TEST_SECONDS)
    return registry.try_out(provider.kind, connection)
