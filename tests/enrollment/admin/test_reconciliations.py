from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from enrollment import tasks
from enrollment.models import Difference, ProviderAccount, Reconciliation
from libraries.models import StaffRole
from tests.factories import make_coordinator, make_librarian, make_staff
from tests.workplace import Scene, make_scene, sign_in

pytestmark = pytest.mark.django_db
LIST = "/en/admin/enrollment/reconciliation/"


@pytest.fixture
def scene() -> Scene:
    return make_scene()


@pytest.fixture
def run(scene: Scene) -> Reconciliation:
    """One account got lost, and another there is nobody's."""
    now = timezone.now()
    account = ProviderAccount.objects.get(user=scene.cy.user)
    ProviderAccount.objects.update(due_at=None, stuck_at=None, trouble="", seen="active", seen_at=now - timedelta(1))
    run = Reconciliation.objects.create(provider=scene.programme.provider, asked_at=now, finished_at=now, listed=12)
    Difference.objects.create(reconciliation=run, kind="only_here", account=account, repair="agree")
    Difference.objects.create(reconciliation=run, kind="only_there", remote_id="remote-9", repair="look")
    return run


def said(response: Any) -> list[str]:
    return [str(message) for message in response.context["messages"]]


def decide(run: Reconciliation, what: str) -> str:
    return reverse("admin:enrollment_reconciliation_decide", args=[run.pk, what])


def test_page_tells_what_differs_and_what_a_repair_does(run: Reconciliation) -> None:
    html = sign_in(make_coordinator()).get(f"{LIST}{run.pk}/change/").content.decode()
    for words in ("it got lost there", "open the account again where it is missing", "remote-9", "Repair 1…"):
        assert words in html
    assert "Zeldzaam" not in html


def test_page_shows_one_kind_at_a_time(run: Reconciliation) -> None:
    page = sign_in(make_coordinator()).get(f"{LIST}{run.pk}/change/?kind=only_there&fate=open")
    assert [row.difference.remote_id for row in page.context["page"]] == ["remote-9"]


def test_number_of_queries_does_not_grow(run: Reconciliation) -> None:
    client = sign_in(make_coordinator())
    client.get(f"{LIST}{run.pk}/change/")
    counts = []
    for _size in range(2):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            client.get(f"{LIST}{run.pk}/change/")
        counts.append(len(queries))
        Difference.objects.bulk_create(
            Difference(reconciliation=run, kind="only_there", remote_id=str(n), repair="look") for n in range(40)
        )
    assert counts[0] == counts[1]


def test_all_of_a_kind_are_shown_first_and_then_repaired(run: Reconciliation) -> None:
    mo = make_coordinator()
    client = sign_in(mo)
    page = client.post(decide(run, "repair"), {"kind": "only_here"})
    assert "This is done for 1 account." in page.content.decode() or "Dit" in page.content.decode()
    assert ProviderAccount.objects.owed().count() == 0
    client.post(decide(run, "repair"), {"kind": "only_here", "sure": "yes"})
    assert ProviderAccount.objects.owed().count() == 1
    assert Difference.objects.get(kind="only_here").decided_by_id == mo.pk


def repaired(run: Reconciliation, **account: Any) -> ProviderAccount:
    """The one that got lost, as its account has gone on since somebody decided to repair it."""
    rows = Difference.objects.filter(reconciliation=run, kind="only_here")
    rows.update(state="repaired", decided_at=run.finished_at)
    mine = ProviderAccount.objects.filter(differences__in=rows)
    mine.update(turn_at=run.finished_at, **account)
    return mine.get()


def shown(run: Reconciliation, fate: str = "") -> str:
    client = sign_in(make_coordinator(f"mo-{fate}@example.test"))
    return str(client.get(f"{LIST}{run.pk}/change/?kind=only_here&fate={fate}").content.decode())


def test_page_tells_when_a_repair_is_done(run: Reconciliation) -> None:
    assert run.finished_at is not None
    repaired(run, due_at=run.finished_at, seen="unknown", seen_at=None)
    assert "being repaired: 1" in shown(run)
    repaired(run, due_at=None, seen="active", seen_at=run.finished_at + timedelta(minutes=1))
    html = shown(run, "repaired")
    assert ("repaired: 1" in html, "being repaired: 1" in html, "None of this kind." in html) == (True, False, False)
    assert "None of this kind." in shown(run, "repairing")


def test_page_tells_why_a_repair_did_not_work_and_where_to_look(run: Reconciliation) -> None:
    now = timezone.now()
    account = repaired(run, due_at=now, stuck_at=now, trouble="name_taken", seen="unknown", seen_at=None)
    html = shown(run, "failed")
    assert "repair did not work: 1" in html
    assert "Another account at the provider has this user name" in html
    assert html.count(reverse("admin:enrollment_provideraccount_change", args=[account.pk])) == 2


def test_fate_that_there_is_not_shows_all(run: Reconciliation) -> None:
    page = sign_in(make_coordinator()).get(f"{LIST}{run.pk}/change/?fate=x'&kind=&page=0")
    assert (page.status_code, len(page.context["page"])) == (200, 2)


def test_one_is_left_as_it_is(run: Reconciliation) -> None:
    row = Difference.objects.get(kind="only_there")
    sign_in(make_staff("oz@example.test", StaffRole.Role.OPERATOR)).post(decide(run, "leave"), {"difference": row.pk})
    row.refresh_from_db()
    assert row.state == "left"


def test_doubted_list_offers_no_repair_but_trust(run: Reconciliation) -> None:
    Reconciliation.objects.update(doubt="shrunk")
    client = sign_in(make_coordinator())
    html = client.get(f"{LIST}{run.pk}/change/").content.decode()
    assert ("The list is right" in html, "Repair 1…" in html) == (True, False)
    client.post(decide(run, "trust"))
    run.refresh_from_db()
    assert run.is_trusted


def test_doubted_list_is_shown_beside_the_last_trusted_one(run: Reconciliation) -> None:
    assert run.finished_at is not None
    Reconciliation.objects.exclude(pk=run.pk).delete()
    earlier = run.finished_at - timedelta(days=1)
    told = {"provider": run.provider, "asked_at": earlier, "listed": 2000}
    Reconciliation.objects.create(**told, finished_at=earlier, ours=1346)
    Reconciliation.objects.create(**told, finished_at=run.finished_at - timedelta(hours=1), ours=7, doubt="shrunk")
    Reconciliation.objects.filter(pk=run.pk).update(doubt="shrunk")
    html = sign_in(make_coordinator()).get(f"{LIST}{run.pk}/change/").content.decode()
    for words in ("Ours on the last trusted list", "1,346", "at most 10 % of our accounts"):
        assert words in html


def test_page_of_a_provider_without_a_list_speaks_of_none(run: Reconciliation) -> None:
    type(run.provider).objects.update(kind="moodle")
    html = sign_in(make_coordinator()).get(f"{LIST}{run.pk}/change/").content.decode()
    assert ("Our accounts found there" in html, "Accounts on the list" in html) == (True, False)
    assert "Not made by the portal" not in html


def test_empty_list_cannot_be_trusted(run: Reconciliation) -> None:
    Reconciliation.objects.update(doubt="empty")
    client = sign_in(make_coordinator())
    assert "The list is right" not in client.get(f"{LIST}{run.pk}/change/").content.decode()
    client.post(decide(run, "trust"))
    run.refresh_from_db()
    assert not run.is_trusted


def test_comparing_is_asked_for_and_rung(run: Reconciliation, monkeypatch: pytest.MonkeyPatch) -> None:
    rung: list[bool] = []
    monkeypatch.setattr(tasks, "ring_for_comparisons", lambda: rung.append(True))
    mo = make_coordinator()
    page = sign_in(mo).post(reverse("admin:enrollment_reconciliation_compare", args=[run.provider_id]), follow=True)
    assert page.status_code == 200
    assert (rung, Reconciliation.objects.owed().get().asked_by_id) == ([True], mo.pk)


def test_auditor_looks_and_decides_nothing(run: Reconciliation) -> None:
    client = sign_in(make_staff("au@example.test", StaffRole.Role.AUDITOR))
    page = client.get(f"{LIST}{run.pk}/change/")
    assert (page.status_code, "Repair 1…" in page.content.decode()) == (200, False)
    assert client.post(decide(run, "repair"), {"kind": "only_here", "sure": "yes"}).status_code == 403
    compare = reverse("admin:enrollment_reconciliation_compare", args=[run.provider_id])
    assert client.post(compare).status_code == 403


def test_librarian_sees_nothing_of_it(run: Reconciliation, scene: Scene) -> None:
    client = sign_in(make_librarian(scene.own))
    assert client.get(LIST).status_code == 403
    assert client.get(f"{LIST}{run.pk}/change/").status_code == 403
    assert client.post(decide(run, "trust")).status_code == 403
