"""Make a provider agree with what must be, one account at a time; safe to run at any time, twice, by anyone.

A row that is due is claimed under a lease in one statement, the provider is asked outside any transaction, and the
outcome is published only while the lease is still ours. The lease is renewed before every request: whoever has lost it
sends nothing more. Whoever was killed in between is followed by whoever claims the row when the lease has run out;
looking before acting keeps that from making a second account.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from catalog import line, reaching
from catalog.line import Admission
from catalog.models import Provider
from catalog.provider.client import Account
from catalog.provider.errors import ProviderError
from catalog.reaching import SecretOf
from enrollment import agreeing, outcomes
from enrollment.agreeing import Task
from enrollment.models import ProviderAccount
from enrollment.outcomes import MOST_ATTEMPTS, LeaseLost

__all__ = ["CALL_DEADLINE", "LEASE", "MOST_ATTEMPTS", "settle_next"]

# All requests of one call of a client together, without the waits for their turns.
CALL_DEADLINE = 12.0
# Longer than a wait for a turn (`line.LONGEST_WAIT`) and a call after it; with the sweep after it within the minute in
# which a crash is repaired.
LEASE = timedelta(seconds=35)

Clock = Callable[[], datetime]


def settle_next(*, secret_of: SecretOf, now: Clock, claimed: Callable[[], object] | None = None) -> bool:
    """Claim one due account and make its provider agree; says whether there was one.

    `secret_of` gives the token that goes with a provider's `secret_name`; `claimed` is called once there is an account,
    before its provider is.
    """
    account, admission = _claim(now())
    if account is None:
        return False
    if claimed is not None:
        claimed()
    if account.attempts > MOST_ATTEMPTS:
        outcomes.publish_stuck(account, account.trouble or "crashed", now=now())
        is_well = True
    else:
        is_well = _Attempt(account, secret_of, now).make()
    if admission == Admission.PROBE:
        outcomes.end_probe(account.provider_id, is_well=is_well, now=now())
    return True


def _claim(now: datetime) -> tuple[ProviderAccount | None, Admission]:
    """Of whichever provider has work and may be called: one that is slow or down keeps nobody else waiting."""
    for provider in _least_busy_first(ProviderAccount.objects.providers_with_due(now), now):
        admission = line.admits(provider.pk, now=now)
        if admission != Admission.CLOSED:
            as_probe = admission == Admission.PROBE
            account = ProviderAccount.objects.claim_of(provider, now=now, lease=LEASE, as_probe=as_probe)
            if account is not None:
                return account, admission
        if admission == Admission.PROBE:  # somebody else has taken what was due
            line.release(provider.pk, now=now)
    return None, Admission.CLOSED


def _least_busy_first(providers: list[Provider], now: datetime) -> list[Provider]:
    """A slow provider would else, call by call, take every worker there is."""
    if len(providers) < 2:
        return providers
    random.shuffle(providers)
    busy = line.busy([provider.pk for provider in providers], now=now)
    return sorted(providers, key=lambda provider: busy.get(provider.pk, 0.0))


@dataclass
class _Attempt:
    account: ProviderAccount
    secret_of: SecretOf
    now: Clock
    has_sent: bool = False

    def make(self) -> bool:
        """Says whether nothing went wrong that others would meet too."""
        account = self.account
        try:
            seen, task = self._agree()
        except LeaseLost:
            outcomes.lose(account, now=self.now())
            return False
        except ProviderError as error:
            self._publish_trouble(error)
            return not outcomes.ails_everybody(error)
        outcomes.publish_seen(account, seen, task, now=self.now())
        return True

    def _agree(self) -> tuple[Account | None, Task | None]:
        if agreeing.needs_nobody(self.account):
            return None, None
        task = agreeing.read(self.account, now=self.now())
        client = reaching.client_of(
            self.account.provider, secret_of=self.secret_of, deadline=CALL_DEADLINE, turn=self._turn
        )
        return agreeing.agree(client, self.account, task), task

    def _publish_trouble(self, error: ProviderError) -> None:
        if error.code == "no_turn" and not self.has_sent:
            outcomes.put_back(self.account, after=error.after, now=self.now())
        else:
            outcomes.publish_trouble(self.account, error, now=self.now())

    @contextmanager
    def _turn(self, *, writes: bool) -> Iterator[None]:
        """Around each request. The wait for the line is short; whoever slept for longer must not send what another may
        have done since."""
        renewed_at = self.now()
        if not ProviderAccount.objects.renew(self.account, now=renewed_at, lease=LEASE):
            raise LeaseLost
        with line.turn(self.account.provider_id, expires=CALL_DEADLINE + 1, writes=writes):
            if self.now() > renewed_at + LEASE - timedelta(seconds=CALL_DEADLINE):
                raise LeaseLost
            self.has_sent = True
            yield
