"""What others do at the platform behind the portal's back, and comparisons with its list."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import requests

from catalog.models import Programme, Provider
from enrollment import reconciling
from enrollment.models import Difference, ProviderAccount, Reconciliation
from libraries.models import Institution
from tests.accounts import account_of, seated, secret_of, settle_all
from tests.factories import NOW, make_programme
from tests.platform_server import RunningPlatform

LATER = NOW + timedelta(hours=1)
NEXT_DAY = NOW + timedelta(days=1)


@dataclass
class Outsider:
    """Somebody at the provider."""

    platform: RunningPlatform

    def add(self, name: str, external_id: str | None = None) -> str:
        told = {"externalId": external_id} if external_id else {}
        return str(self._send("POST", "/Users", {"schemas": [USER], "userName": name, **told})["id"])

    def change(self, remote_id: str, **values: Any) -> None:
        operations = [{"op": "replace", "path": name, "value": value} for name, value in values.items()]
        self._send("PATCH", f"/Users/{remote_id}", {"schemas": [PATCH], "Operations": operations})

    def remove(self, remote_id: str) -> None:
        self._send("DELETE", f"/Users/{remote_id}", None)

    def _send(self, method: str, path: str, body: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.platform.token}", "Content-Type": "application/scim+json"}
        answer = requests.request(method, self.platform.base_url + path, json=body, headers=headers, timeout=10)
        answer.raise_for_status()
        return answer.json() if answer.content else {}


USER = "urn:ietf:params:scim:schemas:core:2.0:User"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


def open_accounts(institution: Institution, number: int, programme: Programme | None = None) -> list[ProviderAccount]:
    """Members with their accounts open at the running platform."""
    programme = programme or make_programme(cap=number)
    members = [seated(f"member{each}@example.test", programme, institution, f"2100{each:04}") for each in range(number)]
    settle_all()
    return [account_of(member) for member in members]


def compare(now: datetime = LATER) -> Reconciliation:
    run = reconciling.ask(provider_id=Provider.objects.get().pk, by=None, now=now)
    assert run is not None
    assert reconciling.compare_next(secret_of=secret_of, now=lambda: now)
    run.refresh_from_db()
    return run


def found(run: Reconciliation) -> list[tuple[str, int | None, str, str]]:
    """Kind, account, fields, proposal."""
    rows = Difference.objects.filter(reconciliation=run).order_by("pk")
    return list(rows.values_list("kind", "account_id", "fields", "repair"))
