from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from uuid import uuid4

from django.db import connection, models
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from catalog.models import Provider, ProviderLine
from enrollment.models.owed import MOMENT, OwedQuerySet, OwedWork, Statement, address_is_proved

# Locked in the order of the people's ids, whichever were there before. What `OwedWork.debt` says, in SQL. Where the
# account was to be closed, somebody may be closing it right now: what was seen before says nothing any more.
_OWE_OPEN = """
INSERT INTO enrollment_provideraccount AS account
    (user_id, provider_id, external_id, must_be_active, must_be_erased, due_at, turn_at,
     version, attempts, trouble, remote_id, seen, told, answer)
SELECT id, %(provider)s, gen_random_uuid(), true, false, %(now)s, %(now)s + place * interval '1 microsecond',
    0, 0, '', '', 'unknown', '', ''
FROM unnest(%(users)s::bigint[]) WITH ORDINALITY AS mine (id, place) ORDER BY id
ON CONFLICT (user_id, provider_id) DO UPDATE SET
    must_be_active = true, due_at = excluded.due_at, turn_at = excluded.turn_at, version = account.version + 1,
    attempts = 0, stuck_at = NULL, trouble = '',
    seen = CASE WHEN account.must_be_active THEN account.seen ELSE 'unknown' END,
    seen_at = CASE WHEN account.must_be_active THEN account.seen_at END
"""

# Stands for the provider in a statement that is kept.
_PROVIDER = -1

# "A few minutes" for a member; after this, that is no longer true.
LATE_AFTER = timedelta(minutes=10)


class ProviderAccountQuerySet(OwedQuerySet["ProviderAccount"]):
    first_claim = "first_claimed_at"

    def unblocked(self) -> OwedQuerySet[ProviderAccount]:
        """No account is opened for an address that nobody has proved: it would be a stranger's, if it was mistyped. As
        soon as it is proved, what waited is due."""
        return self.owed().filter(Q(must_be_active=False) | address_is_proved())

    def tried(self) -> ProviderAccountQuerySet:
        """Claimed since it was owed, and not settled: it failed, and has waited since, or its worker died."""
        return self.filter(attempts__gt=0)

    def untried(self) -> ProviderAccountQuerySet:
        return self.filter(attempts=0)

    def claim_of(
        self, provider: Provider, *, now: datetime, lease: timedelta, as_probe: bool = False
    ) -> ProviderAccount | None:
        """What was tried comes first, as soon as it is due again: it had its turn before, and is never many. The others
        come in their turns. Each kind is found by an index of its own, so that nobody reads past those that are not
        due. As a probe of a provider that is down, what was tried comes last: what ails a few accounts for ever must
        not be taken for the provider's trouble."""
        known = {_PROVIDER: provider.pk}
        statements = [_to_claim_tried(), _to_claim_untried(provider.opens_first)]
        for statement in reversed(statements) if as_probe else statements:
            account = self.claimed_by(statement, now=now, lease=lease, known=known)
            if account is not None:
                account.provider = provider
                return account
        return None

    def providers_with_due(self, now: datetime) -> list[Provider]:
        statement = _to_find_providers()
        return list(Provider.objects.raw(statement.sql, statement.filled({MOMENT: now})))

    def oldest_owed_at(self) -> datetime | None:
        """Not of providers that are down: that is not for us to mend."""
        is_down = ProviderLine.objects.filter(provider=OuterRef("provider"), down_since__isnull=False)
        return OwedQuerySet.oldest_owed_at(self.exclude(Exists(is_down)))

    def owe_open(self, provider_id: int, user_ids: Iterable[int], *, now: datetime) -> None:
        """The people's accounts at this provider must be open, and somebody has to see to it. The order of the people
        is that of their turns."""
        if users := list(user_ids):
            with connection.cursor() as cursor:
                cursor.execute(_OWE_OPEN, {"provider": provider_id, "users": users, "now": now})


@cache
def _to_claim_tried() -> Statement:
    return ProviderAccount.objects.filter(provider_id=_PROVIDER).tried().to_claim(("due_at", "pk"))


@cache
def _to_claim_untried(opens_first: str) -> Statement:
    order = ("-turn_at", "-pk") if opens_first == Provider.OpensFirst.NEWEST else ("turn_at", "pk")
    return ProviderAccount.objects.filter(provider_id=_PROVIDER).untried().to_claim(order)


@cache
def _to_find_providers() -> Statement:
    of_provider = ProviderAccount.objects.due(MOMENT).filter(provider=OuterRef("pk"))
    tried, untried = Exists(of_provider.filter(attempts__gt=0)), Exists(of_provider.filter(attempts=0))
    return Statement(*Provider.objects.filter(tried | untried).order_by("pk").query.sql_with_params())


class ProviderAccount(OwedWork):
    """A person's account on a provider's platform: what must be, what was last seen, and what went wrong."""

    class Seen(models.TextChoices):
        UNKNOWN = "unknown", _("not known yet")
        ABSENT = "absent", _("no account")
        ACTIVE = "active", _("account open")
        INACTIVE = "inactive", _("account closed")

    user = models.ForeignKey(
        "libraries.User", on_delete=models.PROTECT, related_name="provider_accounts", verbose_name=_("member")
    )
    provider = models.ForeignKey(
        "catalog.Provider", on_delete=models.PROTECT, related_name="accounts", verbose_name=_("provider")
    )
    # Given before the first call, so that an account made by a call whose reply was lost is found again.
    external_id = models.UUIDField(_("our id"), default=uuid4, unique=True, editable=False)
    must_be_active = models.BooleanField(_("must be open"))
    must_be_erased = models.BooleanField(_("must be erased"), default=False)
    # Whose turn it is among those that are due (`Provider.opens_first`): the moment the seat was given, and with it the
    # place in the queue, a microsecond each.
    turn_at = models.DateTimeField(_("turn"), default=timezone.now)
    # Before the first claim nothing can have been made at the provider under our id (docs/adr/0020).
    first_claimed_at = models.DateTimeField(null=True, editable=False)
    # Of a row that was just claimed, and of no other.
    is_first_claim = False
    remote_id = models.CharField(_("the provider's id"), max_length=200, blank=True)
    seen = models.CharField(_("last seen"), max_length=10, choices=Seen, default=Seen.UNKNOWN)
    seen_at = models.DateTimeField(_("seen"), null=True, blank=True)
    # A hash of what the provider was last told of the person, so that changes are found (`provisioning`).
    told = models.CharField(max_length=32, blank=True, editable=False)
    # What the provider answered when it last refused, without secrets and personal data; for the operator.
    answer = models.TextField(_("what the provider answered"), max_length=2000, blank=True)
    erased_at = models.DateTimeField(_("erased"), null=True, blank=True)

    objects = ProviderAccountQuerySet.as_manager()

    class Meta:
        verbose_name = _("account at the provider")
        verbose_name_plural = _("accounts at providers")
        constraints = [
            models.UniqueConstraint(fields=["user", "provider"], name="account_once_per_person"),
            models.UniqueConstraint(
                fields=["provider", "remote_id"], condition=~Q(remote_id=""), name="account_remote_id_unique"
            ),
            models.CheckConstraint(
                condition=Q(seen="unknown", seen_at=None) | (~Q(seen="unknown") & Q(seen_at__isnull=False)),
                name="account_seen_and_when",
            ),
            models.CheckConstraint(
                condition=Q(stuck_at=None) | (Q(due_at__isnull=False) & ~Q(trouble="")),
                name="account_stuck_is_owed",
            ),
            models.CheckConstraint(
                condition=Q(must_be_erased=False) | Q(must_be_active=False), name="account_erased_is_not_open"
            ),
            models.CheckConstraint(
                condition=Q(erased_at=None) | Q(must_be_erased=True, seen="absent"), name="account_erased_is_absent"
            ),
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="account_due"),
            # `claim_of` reads the first of each kind from these; what is not due is told from the index itself.
            models.Index(
                fields=["provider", "turn_at", "id", "due_at"],
                condition=Q(due_at__isnull=False, stuck_at=None, attempts=0),
                name="account_untried",
            ),
            models.Index(
                fields=["provider", "due_at", "id"],
                condition=Q(due_at__isnull=False, stuck_at=None, attempts__gt=0),
                name="account_tried",
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"

    @staticmethod
    def debt(now: datetime) -> dict[str, Any]:
        """What is owed anew has its turn from now, and waits since now."""
        return OwedWork.debt(now) | {"turn_at": now}

    def is_late(self, now: datetime) -> bool:
        """Whether it takes longer than people are told that it takes."""
        return self.due_at is not None and self.turn_at < now - LATE_AFTER

    @property
    def is_ready(self) -> bool:
        """The provider has confirmed an open account: only then does a member read "ready"."""
        return self.must_be_active and self.seen == self.Seen.ACTIVE
