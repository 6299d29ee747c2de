"""What keeps a promise is taken out, one guard at a time, and named tests must go red: what nobody misses is no guard.

The numbers are those of the promises: 1 no accepted application is lost · 2 the portal works without the broker ·
3 doubled messages are harmless · 4 a crash is repaired within 60 s · 5 a stalled worker cannot overwrite · 6 poisoned
work cannot loop · 7 never two accounts for one person · 8 unclear is not failed · 9 portal and provider agree ·
14 the provider's limit is kept by all workers together · 15 one slow provider starves nobody · 17 no code is guessed ·
19 imports are safe · 22 personal data only where it belongs · 23 erasure is complete · 24 a course, or a provider's
platform, opens to whoever has the place · 25 what is signed is its signer's word, and counts once · 26 what members did
stays theirs · 27 the offer keeps its rules, and who follows a title is told · 28 visitors see the catalog as it is
"""

from __future__ import annotations

from tests.mutants import courses, fuses, starts
from tests.mutants.mutant import Mutant

PROMISES = frozenset({*range(1, 10), 14, 15, 17, 19, *range(22, 29)})

OWED, PROVISIONING = "tests/enrollment/test_owed.py", "tests/enrollment/test_provisioning.py"
TURNS, TROUBLE = "tests/enrollment/test_provisioning_turns.py", "tests/enrollment/test_provisioning_trouble.py"
LINE, BREAKER = "tests/catalog/test_line.py", "tests/catalog/test_breaker.py"
SCIM, EXCHANGE = "tests/catalog/provider/test_scim.py", "tests/catalog/provider/test_exchange.py"
PORT = "tests/catalog/provider/test_port.py"

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "seat-owes-no-account",
        1,
        "enrollment/seats.py",
        "    ProviderAccount.objects.owe_open(provider_id, [enrollment.user_id for enrollment in seated], now=now)\n",
        "    del provider_id\n",
        (PROVISIONING,),
    ),
    Mutant(
        "end-owes-no-closing",
        1,
        "enrollment/seats.py",
        "unneeded.update(must_be_active=False, **ProviderAccount.debt(now))",
        "unneeded.update(must_be_active=False)",
        (PROVISIONING,),
    ),
    Mutant(
        "no-sweep-for-owed-accounts",
        1,
        "portal/celery.py",
        '"task": "enrollment.tasks.provision_due",\n            "schedule": 15.0,',
        '"task": "enrollment.tasks.provision_due",\n            "schedule": 86400.0,',
        ("tests/faults/test_recovery.py",),
    ),
    Mutant(
        "page-waits-for-the-broker",
        2,
        "enrollment/tasks.py",
        "    _bell.ring()\n",
        "    _ring()\n",
        ("tests/faults/test_portal_without_broker.py",),
    ),
    Mutant(
        "claims-of-what-is-claimed",
        3,
        "enrollment/models/owed.py",
        "        free = Q(lease_until=None) | Q(lease_until__lte=now)\n",
        "        free = Q()\n",
        (OWED,),
    ),
    Mutant(
        "claims-without-a-lock",
        3,
        "enrollment/models/owed.py",
        "({chosen} FOR NO KEY UPDATE SKIP LOCKED)",
        "({chosen})",
        ("tests/concurrency/test_claims.py",),
    ),
    Mutant(
        "ready-is-told-at-every-look",
        3,
        "enrollment/outcomes.py",
        "untold(seats).order_by",
        "seats.order_by",
        (PROVISIONING,),
    ),
    Mutant(
        "lease-that-never-ends",
        4,
        "enrollment/models/owed.py",
        "Q(lease_until=None) | Q(lease_until__lte=now)",
        "Q(lease_until=None)",
        (OWED,),
    ),
    Mutant(
        "lease-longer-than-a-minute",
        4,
        "enrollment/provisioning.py",
        "LEASE = timedelta(seconds=35)",
        "LEASE = timedelta(seconds=90)",
        ("tests/faults/test_recovery.py::test_lease_and_sweep_together_last_less_than_a_minute",),
    ),
    Mutant(
        "no-fencing",
        5,
        "enrollment/models/owed.py",
        "        mine = self.filter(pk=row.pk, lease_token=row.lease_token)\n",
        "        mine = self.filter(pk=row.pk)\n",
        (OWED,),
    ),
    Mutant(
        "who-lost-the-lease-sends",
        5,
        "enrollment/provisioning.py",
        "lease=LEASE):\n            raise LeaseLost\n",
        "lease=LEASE):\n            pass\n",
        (TURNS,),
    ),
    Mutant(
        "who-slept-before-the-turn-sends",
        5,
        "enrollment/provisioning.py",
        "                raise LeaseLost\n",
        "                pass\n",
        (TURNS,),
    ),
    Mutant(
        "who-lost-the-lease-asks-for-no-look",
        5,
        "enrollment/outcomes.py",
        '    again.update(due_at=Coalesce(F("due_at"), Value(now)), version=F("version") + 1)\n',
        "",
        (PROVISIONING,),
    ),
    Mutant(
        "debt-made-meanwhile-is-settled",
        5,
        "enrollment/models/owed.py",
        "models.When(version=row.version, then=models.Value(value))",
        "models.When(pk=row.pk, then=models.Value(value))",
        (OWED,),
    ),
    Mutant(
        "attempts-are-not-counted-in-the-claim",
        6,
        "enrollment/models/owed.py",
        "attempts = mine.attempts + 1",
        "attempts = mine.attempts",
        (OWED, "tests/faults/test_workers.py::test_work_that_kills_its_worker_ends_as_stuck"),
    ),
    Mutant(
        "poisoned-work-is-claimed-for-ever",
        6,
        "enrollment/provisioning.py",
        "    if account.attempts > MOST_ATTEMPTS:\n",
        "    if False:\n",
        (PROVISIONING,),
    ),
    Mutant(
        "create-without-a-look",
        7,
        "enrollment/agreeing.py",
        "None if account.is_first_claim else client.find(task.person.external_id)",
        "None",
        (TURNS, PROVISIONING),
    ),
    Mutant(
        "adopted-by-name",
        7,
        "catalog/provider/scim.py",
        "        raise _name_taken(refusal)\n    return account\n",
        '        account = Account("1", external_id, None, None, None, None, True)\n    return account\n',
        (PORT,),
    ),
    Mutant(
        "two-matches-are-one",
        7,
        "catalog/provider/scim.py",
        "    if total > 1 or len(accounts) > 1:\n",
        "    if False:\n",
        (PORT,),
    ),
    Mutant(
        "unclear-counts-as-refused",
        8,
        "catalog/provider/exchange.py",
        "kind = Unclear if wrote else",
        "kind = Refused if wrote else",
        (SCIM, EXCHANGE),
    ),
    Mutant(
        "error-after-a-write-counts-as-refused",
        8,
        "catalog/provider/exchange.py",
        "kind = Unclear if self.wrote else",
        "kind = Refused if self.wrote else",
        (SCIM, EXCHANGE),
    ),
    Mutant(
        "read-back-that-failed-is-a-failure",
        8,
        "catalog/provider/scim.py",
        "raise Unclear(failure.code, text, failure.after",
        "raise Refused(failure.code, text, failure.after",
        (SCIM,),
    ),
    Mutant(
        "ready-before-the-provider-said-so",
        9,
        "enrollment/models/provider_account.py",
        "        return self.must_be_active and self.seen == self.Seen.ACTIVE\n",
        "        return self.must_be_active\n",
        (PROVISIONING,),
    ),
    Mutant(
        "changes-are-not-looked-for",
        9,
        "enrollment/agreeing.py",
        "WHERE told <> was_told",
        "WHERE false",
        ("tests/enrollment/test_provisioning_changes.py",),
    ),
    Mutant(
        "erased-when-it-was-asked",
        9,
        "enrollment/agreeing.py",
        "    client.erase(seen)\n    return client.find(task.person.external_id)\n",
        "    client.erase(seen)\n    return None\n",
        ("tests/enrollment/test_provisioning_changes.py",),
    ),
    Mutant(
        "more-calls-than-allowed-in-a-second",
        14,
        "catalog/line.py",
        "        taken[cardinality(taken) - rate + 1] + %(window)s\n",
        "        at\n",
        (LINE,),
    ),
    Mutant(
        "more-calls-than-allowed-at-once",
        14,
        "catalog/line.py",
        "WHEN cardinality(busy) >= allowed THEN 'full'",
        "WHEN false THEN 'full'",
        (LINE,),
    ),
    Mutant(
        "late-turns-are-kept",
        14,
        "catalog/line.py",
        "<= LATEST:",
        "<= 3600:",
        (LINE,),
    ),
    Mutant(
        "accounts-and-letters-in-one-queue",
        15,
        "portal/celery.py",
        '"enrollment.tasks.provision_due": {"queue": "provider"}',
        '"enrollment.tasks.provision_due": {"queue": "mail"}',
        ("tests/faults/test_slow_provider.py",),
    ),
    Mutant(
        "no-breaker",
        15,
        "catalog/breaker.py",
        "%(wide)s OR failures + 1 >= %(most)s OR",
        "%(wide)s OR",
        (BREAKER,),
    ),
    Mutant(
        "no-deadline-over-the-whole-call",
        15,
        "catalog/provider/exchange.py",
        "            ends_at=self._ends_at,\n",
        "            ends_at=self._ends_at + 3600,\n",
        (SCIM, EXCHANGE),
    ),
    *fuses.MUTANTS,
    *starts.MUTANTS,
    *courses.MUTANTS,
)
