"""A training platform that only lists its accounts, as SCIM pages that are made while they are sent.

python -m benchmarks.long_list PORT ACCOUNTS
"""

from __future__ import annotations

import hashlib
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

# One of so many has another address there, and as many are closed; those after the last are the provider's own.
EVERY, FOREIGN = 50, 100


def external_id(number: int) -> UUID:
    """The same that `benchmarks.reconcile` gives in SQL."""
    return UUID(hashlib.md5(f"account{number}".encode(), usedforsecurity=False).hexdigest())


def resource(number: int, ours: int) -> dict[str, Any]:
    if number > ours:
        return {"id": f"remote{number}", "userName": f"boss{number}@company.test", "active": True}
    email = f"member{number}@{'other' if number % EVERY == 1 else 'example'}.test"
    return {
        "id": f"remote{number}",
        "externalId": str(external_id(number)),
        "userName": email,
        "name": {"givenName": f"Ada{number}", "familyName": "Peeters"},
        "emails": [{"value": email, "primary": True}],
        "preferredLanguage": "nl-BE",
        "active": number % EVERY != 2,
        "meta": {"resourceType": "User", "version": f'W/"{number}"'},
    }


class LongList(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int, ours: int) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.ours = ours


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: LongList

    def do_GET(self) -> None:
        asked = parse_qs(urlsplit(self.path).query)
        start, count = int(asked["startIndex"][0]), int(asked["count"][0])
        total = self.server.ours + FOREIGN
        users = [resource(number, self.server.ours) for number in range(start, min(start + count, total + 1))]
        body = json.dumps({"totalResults": total, "startIndex": start, "Resources": users}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/scim+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def main(port: str, ours: str) -> None:
    server = LongList(int(port), int(ours))
    print(f"Long list on http://127.0.0.1:{server.server_port}/", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
