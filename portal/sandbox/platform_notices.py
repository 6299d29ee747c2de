"""What the platform tells the portal by itself, signed as Standard Webhooks says: for the buttons on its page."""

import base64
import hashlib
import hmac
import json
import secrets
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

LABELS = {
    "account.closed": "Close",
    "account.changed": "Change the mail",
    "progress": "Progress of 25 %",
}
COURSE, PERCENT = "ST-1001", 25
SECONDS = 5

Account = Mapping[str, object]


@dataclass(frozen=True)
class Notices:
    """Where they go, and the secret that they are signed with."""

    address: str
    secret: str = field(repr=False)

    @classmethod
    def of(cls, site: str | None, secret: str | None) -> "Notices | None":
        """None where there is nobody to tell."""
        return cls(f"{site}/hooks/skillstown/", secret) if site and secret else None

    def change(self, kind: str, account: Account) -> Sequence[Mapping[str, object]]:
        """What is done to the account here before the portal is told. Raises ValueError."""
        if kind == "account.closed":
            return [{"op": "replace", "path": "active", "value": False}]
        if kind == "account.changed":
            emails = [{"value": f"changed.{account['email']}", "primary": True}]
            return [{"op": "replace", "path": "emails", "value": emails}]
        if kind == "progress":
            return []
        raise ValueError(f"type must be one of {', '.join(LABELS)}")

    def send(self, kind: str, account: Account) -> None:
        """Raises ValueError where the portal does not take it."""
        body = json.dumps(_told(kind, account)).encode()
        number, stamp = f"msg_{secrets.token_hex(12)}", str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "webhook-id": number,
            "webhook-timestamp": stamp,
            "webhook-signature": self._signature(f"{number}.{stamp}.".encode() + body),
        }
        request = urllib.request.Request(self.address, body, headers)
        # Directly, whatever proxy the environment names.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            opener.open(request, timeout=SECONDS).close()
        except urllib.error.HTTPError as answer:
            answer.close()
            raise ValueError(f"the portal did not take it: {answer.code}") from None
        except OSError:
            raise ValueError("the portal could not be reached") from None

    def _signature(self, content: bytes) -> str:
        key = base64.b64decode(self.secret.removeprefix("whsec_"))
        return "v1," + base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()


def _told(kind: str, account: Account) -> dict[str, object]:
    data = {"id": account["id"], "externalId": account["external_id"]}
    progress = {"course": COURSE, "percent": PERCENT} if kind == "progress" else {}
    return {"type": kind, "timestamp": datetime.now(UTC).isoformat(), "data": {**data, **progress}}
