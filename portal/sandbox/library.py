"""A stand-in for a library's system: a real SIP2 server with a few hundred cards, and faults to switch on.

    python -m portal.sandbox.library --port 8401 --fault library.fault

On the loopback address only. Who asks about cards must log in, with the password in SANDBOX_LIBRARY_PASSWORD. The
file names the fault that is switched on. Nothing is logged: messages carry numbers, names and PINs.
"""

import argparse
import hmac
import logging
import os
import signal
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import SocketStream, TaskStatus
from pysip2 import (
    LOGIN,
    PATRON_INFORMATION,
    PATRON_STATUS,
    LoginRequest,
    LoginResponse,
    PatronInformationRequest,
    PatronInformationResponse,
    PatronStatusRequest,
    PatronStatusResponse,
    RequestContext,
    SIP2Server,
)
from pysip2.models import MESSAGE_SPECS_BY_TYPE, MessageSpec, ident

from portal.sandbox.library_cards import CARDS, ENCODING, Condition, LibraryCard
from portal.sandbox.library_faults import FaultFile, FaultyStream, Kind

USER, INSTITUTION, LOCATION = "leerkaart", "kortrijk", "online"
HOST = "127.0.0.1"
UNKNOWN_FLAGS, NONE = "YYYY          ", "0000"
SLOW_SECONDS = 2.0
LOOK_SECONDS = 0.05  # so often is looked whether it is to be down
Context = RequestContext[Any, Any]


class InformationResponse(PatronInformationResponse, frozen=True, kw_only=True):
    """With what many systems tell beyond the standard; the package's own message has no place for it."""

    home_library: str | None = None
    valid_until: str | None = None
    born: str | None = None
    category: str | None = None


_MORE = (ident("home_library", "AQ"), ident("valid_until", "PA"), ident("born", "PB"), ident("category", "PC"))
_PLAIN = MESSAGE_SPECS_BY_TYPE[PatronInformationResponse]
MESSAGE_SPECS_BY_TYPE[InformationResponse] = MessageSpec("64", InformationResponse, (*_PLAIN.fields, *_MORE))


class LibraryServer(SIP2Server):
    """`seconds`: what it takes to look a card up. `most_connections`: further ones are closed at once. Whatever is
    received is added to `heard`, where that is given."""

    def __init__(
        self,
        *,
        password: str,
        fault: FaultFile,
        seconds: float = 0.0,
        slow: float = SLOW_SECONDS,
        most_connections: int = 50,
        encoding: str = ENCODING,
        heard: list[bytes] | None = None,
    ) -> None:
        silent = logging.Logger("portal.sandbox.library", logging.CRITICAL)
        super().__init__(encoding=encoding, institution_id=INSTITUTION, login_required=True, logger=silent)
        self.password, self.fault, self.seconds, self.slow = password, fault, seconds, slow
        self.most_connections, self.connections, self.heard = most_connections, 0, heard
        self.route(LOGIN)(self._login)
        self.route(PATRON_STATUS)(self._status)
        self.route(PATRON_INFORMATION)(self._information)

    async def run(self, port: int, *, task_status: TaskStatus[int] = anyio.TASK_STATUS_IGNORED) -> None:
        """Until it is cancelled; tells its port as soon as it listens. While it is down, nobody listens there."""
        said = False
        while True:
            listener = await anyio.create_tcp_listener(local_host=HOST, local_port=port)
            async with listener, anyio.create_task_group() as connections:
                connections.start_soon(listener.serve, self._handle_connection)
                port = listener.extra(anyio.abc.SocketAttribute.local_port)
                if not said:
                    task_status.started(port)
                said = True
                await self._until(down=True)
                connections.cancel_scope.cancel()
            await self._until(down=False)

    async def _until(self, *, down: bool) -> None:
        while (self.fault.read() == Kind.DOWN) != down:
            await anyio.sleep(LOOK_SECONDS)

    async def _handle_connection(self, stream: SocketStream) -> None:
        if self.connections >= self.most_connections or self.fault.read() == Kind.DOWN:
            return await stream.aclose()
        self.connections += 1
        try:
            await super()._handle_connection(FaultyStream(stream, self.fault, slow=self.slow, heard=self.heard))
        finally:
            self.connections -= 1

    def _login(self, asked: LoginRequest, context: Context) -> LoginResponse:
        given = f"{asked.login_user_id}\n{asked.login_password}"
        right = hmac.compare_digest(given.encode(), f"{USER}\n{self.password}".encode())
        return LoginResponse(ok="1" if right else "0")

    async def _status(self, asked: PatronStatusRequest, context: Context) -> PatronStatusResponse:
        await anyio.sleep(self.seconds)
        card = CARDS.get(asked.patron_identifier)
        return PatronStatusResponse(
            language=asked.language,
            transaction_date=context.now_18(),
            institution_id=INSTITUTION,
            patron_identifier=asked.patron_identifier,
            **_verdict(card, asked.patron_password),
        )

    async def _information(self, asked: PatronInformationRequest, context: Context) -> PatronInformationResponse:
        await anyio.sleep(self.seconds)
        card = CARDS.get(asked.patron_identifier)
        return InformationResponse(
            language=asked.language,
            transaction_date=context.now_18(),
            hold_items_count=NONE,
            overdue_items_count=NONE,
            charged_items_count=NONE,
            fine_items_count=NONE,
            recall_items_count=NONE,
            unavailable_holds_count=NONE,
            institution_id=INSTITUTION,
            patron_identifier=asked.patron_identifier,
            **_verdict(card, asked.patron_password or ""),
            **(_particulars(card, date.today()) if card else {}),
        )


def _verdict(card: LibraryCard | None, pin: str) -> dict[str, Any]:
    """Of an unknown card as a well-known system says it: with no word about the PIN. A card without a PIN takes an
    empty one for right, as an older system does."""
    if card is None:
        return {"patron_status": UNKNOWN_FLAGS, "personal_name": "", "valid_patron": "N"}
    return {
        "patron_status": card.flags,
        "personal_name": card.name,
        "valid_patron": "Y" if card.is_valid else "N",
        "valid_patron_password": "Y" if hmac.compare_digest(pin.encode(), card.pin.encode()) else "N",
        "screen_message": card.says,
    }


def _particulars(card: LibraryCard, today: date) -> dict[str, Any]:
    """More about the person than who asks needs, as such systems tell it."""
    return {
        "home_address": f"Leiestraat {card.number[-3:]}, 8500 Kortrijk",
        "email_address": f"reader{card.number}@example.test",
        "home_phone_number": f"056 00 {card.number[-4:-2]} {card.number[-2:]}",
        "home_library": INSTITUTION,
        "valid_until": f"{card.valid_until(today):%Y%m%d}",
        "born": f"{card.born:%Y%m%d}",
        "category": "Jeugd" if card.condition == Condition.CHILD else "Volwassen",
    }


async def _serve(server: LibraryServer, port: int) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as ending:
        async with anyio.create_task_group() as tasks:
            port = await tasks.start(server.run, port)
            print(f"Library system on {HOST}:{port}", flush=True)
            await anext(aiter(ending))
            tasks.cancel_scope.cancel()


def main() -> None:
    parser = argparse.ArgumentParser(description="A stand-in for a library's system.")
    parser.add_argument("--port", type=int, required=True, help="0: any free port")
    parser.add_argument("--fault", type=Path, required=True, help="the file that names the fault that is switched on")
    parser.add_argument("--seconds", type=float, default=0.0, help="what it takes to look a card up")
    parser.add_argument("--connections", type=int, default=50, help="so many at once; further ones are closed")
    options = parser.parse_args()
    password = os.environ.get("SANDBOX_LIBRARY_PASSWORD")
    if not password:
        parser.error("SANDBOX_LIBRARY_PASSWORD is needed")
    server = LibraryServer(
        password=password,
        fault=FaultFile(options.fault),
        seconds=options.seconds,
        most_connections=options.connections,
    )
    reasons: list[str] = []
    try:
        anyio.run(partial(_serve, server, options.port))
    except* OSError as errors:
        reasons.append(getattr(errors.exceptions[0], "strerror", ""))
    if reasons:  # said out here: what is raised among the errors of a group becomes one of them
        raise SystemExit(f"Library system: port {options.port} cannot be used: {reasons[0]}")


if __name__ == "__main__":
    main()
