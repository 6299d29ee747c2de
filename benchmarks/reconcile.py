"""A comparison with a provider that has 10,000, then 100,000 accounts of ours, by a worker in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any
from urllib.parse import urlsplit

from benchmarks.long_list import EVERY, FOREIGN
from benchmarks.roster import peak_of_this_process
from benchmarks.stage import Stage, report, set_up, wait_for

SIZES = (10_000, 100_000)
# Quicker than any list is read here: the provider's allowance holds nothing up.
PER_SECOND = 1_000

_PEOPLE = """
INSERT INTO libraries_user (email, first_name, last_name, language, password, is_superuser, is_staff, is_active,
    date_joined, address_proved_at, wants_course_letters)
SELECT 'member' || number || '@example.test', 'Ada' || number, 'Peeters', 'nl', '!', false, false, true, now(), now(),
    false
FROM generate_series(%(first)s, %(last)s) AS number
"""
_ACCOUNTS = """
INSERT INTO enrollment_provideraccount (user_id, provider_id, external_id, must_be_active, must_be_erased,
    turn_at, version, attempts, trouble, remote_id, seen, seen_at, first_claimed_at, told, answer)
SELECT person.id, %(provider)s, md5('account' || number)::uuid, true, false,
    now(), 0, 1, '', 'remote' || number, 'active', now(), now(), {told}, ''
FROM generate_series(%(first)s, %(last)s) AS number
JOIN libraries_user AS person ON person.email = 'member' || number || '@example.test'
"""
# What `agreeing` takes for told, so that nothing is owed.
_TOLD = "md5(concat_ws(E'\\x1f', person.email, person.first_name, person.last_name, person.language))"


def main(stage: Stage) -> None:
    _make_provider()
    made, memory = 0, 0.0
    for size in SIZES:
        _make_accounts(made + 1, size)
        made = size
        port = str(urlsplit(os.environ["SANDBOX_PLATFORM_URL"]).port)
        with stage.running(f"list{size}", "-m", "benchmarks.long_list", port, str(size)) as program:
            wait_for(program, "Long list on")
            told = _in_own_process()
        memory = memory or told["memory"]
        report(f"reconcile_{size}", told["seconds"], "s", told["bare"] / told["seconds"])
        report(f"reconcile_{size}_bare", told["bare"], "s", 1)
        report(f"reconcile_{size}_statements", told["statements"], "s", told["statements"] / told["seconds"])
        report(f"reconcile_{size}_parts", told["parts"], "parts", 1)
        report(f"reconcile_{size}_memory", told["memory"], "MB", memory / told["memory"])
        report(f"reconcile_{size}_repair", told["repair"], "s", 1)


def _make_provider() -> None:
    from benchmarks import rows

    provider = rows.make_pool("reconcile", cap=0).programme.provider
    provider.calls_per_second = PER_SECOND
    provider.save()


def _make_accounts(first: int, last: int) -> None:
    """Settled, with nothing owed."""
    from django.db import connection

    from catalog.models import Provider

    asked = {"first": first, "last": last, "provider": Provider.objects.get().pk}
    with connection.cursor() as cursor:
        cursor.execute(_PEOPLE, asked)
        cursor.execute(_ACCOUNTS.format(told=_TOLD), asked)
        cursor.execute("VACUUM ANALYZE")


def _in_own_process() -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-m", "benchmarks.reconcile"], stdout=subprocess.PIPE, text=True, check=True)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


# --- In the process that is measured ---


def _compare() -> None:
    from django.utils import timezone

    from catalog.models import Provider
    from enrollment import comparing, reconciling, repairing
    from enrollment.models import Difference, ProviderAccount
    from libraries.models import User
    from libraries.secrets import secret_of

    provider = Provider.objects.get()
    in_statements: list[float] = []
    for name in ("write_differences", "count"):
        setattr(comparing, name, _timed(getattr(comparing, name), in_statements))
    run = reconciling.ask(provider_id=provider.pk, by=None, now=timezone.now())
    assert run is not None
    began = time.perf_counter()
    reconciling.compare_next(secret_of=secret_of, now=timezone.now)
    seconds, memory = time.perf_counter() - began, peak_of_this_process()
    run.refresh_from_db()
    found = {kind: run.differences.filter(kind=kind).count() for kind in Difference.Kind.values}
    expected = run.ours // EVERY
    if (run.doubt, run.listed - run.ours, found.pop("other_data"), found.pop("closed_there"), sum(found.values())) != (
        *("", FOREIGN, expected),
        *(expected, 0),
    ):
        sys.exit(f"not what was to be found: {run.doubt or 'trusted'}, {run.listed} of which {run.ours}, {found}")
    bare, parts = _read_bare(provider.base_url)
    by = User.objects.order_by("pk").first()
    assert by is not None
    began = time.perf_counter()
    repairing.repair(run.pk, by=by, now=timezone.now(), kind="closed_there")
    repair = time.perf_counter() - began
    ProviderAccount.objects.owed().update(due_at=None, seen="active", seen_at=run.asked_at)
    told = {"seconds": seconds, "memory": memory, "statements": sum(in_statements), "repair": repair}
    print(json.dumps({**told, "bare": bare, "parts": parts}))


def _timed(work: Any, into: list[float]) -> Any:
    def timed(*args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        try:
            return work(*args, **kwargs)
        finally:
            into.append(time.perf_counter() - began)

    return timed


def _read_bare(base_url: str) -> tuple[float, int]:
    """Seconds for the same parts on the same client, without a line, a lease, or anything that is written down."""
    from catalog.provider import registry
    from catalog.provider.client import Connection

    client, after, parts = registry.client_for("scim", Connection(base_url, "t")), None, 0
    began = time.perf_counter()
    while True:
        after, parts = client.page(after).after, parts + 1
        if after is None:
            return time.perf_counter() - began, parts


if __name__ == "__main__":
    if "DJANGO_SETTINGS_MODULE" in os.environ:
        import django

        django.setup()
        _compare()
    else:
        with set_up() as stage:
            main(stage)
