"""Guards of what concerns a provider as a whole: the fuse of a comparison, refusals that may be everybody's, waits."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

RECONCILING, REPAIRING = "enrollment/reconciling.py", "enrollment/repairing.py"
OUTCOMES, PROVISIONING = "enrollment/outcomes.py", "enrollment/provisioning.py"
LISTS, ODD_LISTS = "tests/enrollment/test_reconciling.py", "tests/enrollment/test_reconciling_odd_lists.py"
REPAIRS, TROUBLES = "tests/enrollment/test_repairing.py", "tests/enrollment/test_own_troubles.py"

MUTANTS = (
    # --- Comparisons ---
    Mutant("empty-list-is-believed", 9, RECONCILING, "return Doubt.EMPTY", "pass", (LISTS,)),
    Mutant("list-cut-short-is-believed", 9, RECONCILING, "return Doubt.CUT_SHORT", "pass", (ODD_LISTS,)),
    Mutant("shrunk-list-is-believed", 9, RECONCILING, "return Doubt.SHRUNK", "pass", (LISTS,)),
    Mutant("list-without-ours-is-believed", 9, RECONCILING, "counts.open_here and not counts.ours", "False", (LISTS,)),
    Mutant("empty-list-may-be-trusted", 9, RECONCILING, '["", Doubt.EMPTY]', '[""]', (LISTS,)),
    Mutant("repairs-by-a-doubted-list", 9, REPAIRING, "run.is_trusted", "True", (REPAIRS,)),
    Mutant("repairs-by-an-old-list", 9, REPAIRING, "return Obstacle.OLD", "pass", (REPAIRS,)),
    Mutant("repairs-what-is-owed-meanwhile", 9, REPAIRING, "account.due_at IS NULL AND ", "", (REPAIRS,)),
    Mutant("repairs-what-is-wanted-no-more", 9, REPAIRING, "account.must_be_active END", "true END", (REPAIRS,)),
    Mutant(
        "compares-what-changed-since",
        9,
        "enrollment/comparing.py",
        "coalesce(account.seen_at < %(began)s, true)",
        "true",
        (LISTS,),
    ),
    Mutant("who-lost-the-lease-compares", 5, RECONCILING, "raise LeaseLost", "pass", (LISTS,)),
    # --- Refusals that may be everybody's ---
    Mutant("refusals-never-take-down", 15, "catalog/breaker.py", "error.code in PERHAPS_WIDE", "False", (TROUBLES,)),
    Mutant(
        "one-account-takes-all-down", 15, OUTCOMES, "breaker.MOST_FAILURES - 1", "breaker.MOST_FAILURES", (TROUBLES,)
    ),
    Mutant("refused-account-is-never-stuck", 6, OUTCOMES, "return MOST_REFUSALS if", "return 10**6 if", (TROUBLES,)),
    Mutant("refusal-is-brought-forward", 15, OUTCOMES, "(*_OWN, *PERHAPS_WIDE, ", "(*_OWN, ", (TROUBLES,)),
    # --- Providers that are down, and back ---
    Mutant(
        "probe-with-who-failed-before",
        15,
        "enrollment/models/provider_account.py",
        "reversed(statements) if as_probe else statements",
        "statements",
        (TROUBLES,),
    ),
    Mutant("probe-is-no-probe", 15, PROVISIONING, "as_probe=as_probe", "as_probe=False", (TROUBLES,)),
    Mutant(
        "comparison-brings-nobody-back",
        1,
        RECONCILING,
        "outcomes.end_probe(",
        "(lambda *_, **__: 0)(",
        (TROUBLES,),
    ),
    Mutant(
        "trial-brings-nobody-back",
        1,
        "enrollment/provider_checks.py",
        "outcomes.end_probe(",
        "(lambda *_, **__: 0)(",
        (TROUBLES,),
    ),
    Mutant(
        "brought-forward-while-down",
        15,
        OUTCOMES,
        "line.release(provider_id, now=now)\n        return False",
        "line.release(provider_id, now=now)",
        (TROUBLES,),
    ),
    Mutant(
        "busiest-provider-first",
        15,
        PROVISIONING,
        "busy.get(provider.pk, 0.0)",
        "-busy.get(provider.pk, 0.0)",
        (TROUBLES,),
    ),
    # --- Waits end ---
    Mutant(
        "provider-names-any-wait",
        1,
        "catalog/provider/exchange.py",
        "min(max(seconds, SHORTEST_WAIT), LONGEST_WAIT)",
        "max(seconds, SHORTEST_WAIT)",
        ("tests/catalog/provider/test_exchange.py",),
    ),
    Mutant(
        "wait-that-is-no-number",
        1,
        "catalog/provider/exchange.py",
        "        return DEFAULT_WAIT\n",
        "        pass\n",
        ("tests/catalog/provider/test_exchange.py",),
    ),
    Mutant(
        "own-waits-double-for-ever",
        1,
        OUTCOMES,
        "(account.attempts - 1), longest)",
        "(account.attempts - 1), 1e9)",
        ("tests/enrollment/test_provisioning.py",),
    ),
    Mutant(
        "waits-longer-than-the-probes",
        1,
        OUTCOMES,
        "breaker.LONGEST_WAIT if",
        "_LONGEST_WAIT if",
        ("tests/enrollment/test_provisioning.py", "tests/enrollment/test_provisioning_trouble.py"),
    ),
)
