"""A stand-in for the mail server: takes every message and keeps it in a Maildir folder.

    python -m portal.sandbox.mail --port 8325 --maildir mail/

On the loopback address only; nothing leaves this machine.
"""

import argparse
import mailbox
import os
import re
import signal
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Mailbox

DELIVERED = re.compile(r"^(\d+)\.(?:M(\d+))?(?:P\d+)?(?:Q(\d+))?")


@dataclass(frozen=True)
class Mail:
    to: str
    subject: str
    text: str
    html: str
    at: datetime


def start_mail_server(*, port: int, maildir: Path) -> Controller:
    """Serves from a thread of its own until `stop()` is called on what is returned."""
    maildir.parent.mkdir(parents=True, exist_ok=True)
    mailbox.Maildir(maildir)  # makes the folder and its three parts
    controller = Controller(Mailbox(maildir), hostname="127.0.0.1", port=port, enable_SMTPUTF8=True)
    controller.start()
    return controller


def read_mail(folder: Path, limit: int | None = None) -> list[Mail]:
    """Newest first, by the moment of delivery; a message that is being removed is passed over."""
    files = [file for part in ("new", "cur") for file in _files(folder / part)]
    files.sort(key=_delivered, reverse=True)
    mails = (_read(file) for file in files[:limit])
    return [mail for mail in mails if mail is not None]


def _files(part: Path) -> list[Path]:
    return [Path(entry.path) for entry in os.scandir(part) if entry.is_file()] if part.is_dir() else []


def _delivered(file: Path) -> tuple[int, int, int]:
    """Seconds, microseconds and sequence number, from the name the mailbox gave the file."""
    found = DELIVERED.match(file.name)
    seconds, micros, sequence = found.groups() if found else ("0", "0", "0")
    return int(seconds), int(micros or 0), int(sequence or 0)


def _read(file: Path) -> Mail | None:
    try:
        message = message_from_bytes(file.read_bytes(), policy=policy.default)
    except FileNotFoundError:
        return None
    seconds, micros, _ = _delivered(file)
    return Mail(
        to=str(message["X-RcptTo"] or message["To"] or ""),
        subject=str(message["Subject"] or "").strip(),  # a long one begins on a line of its own
        text=_part(message, "plain"),
        html=_part(message, "html"),
        at=datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros % 1_000_000),
    )


def _part(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    if part is None:
        return ""
    try:
        return str(part.get_content()).replace("\r\n", "\n")
    except (LookupError, KeyError):  # a character set or a kind of content that nobody knows
        payload = part.get_payload(decode=True)
        return payload.decode(errors="replace") if isinstance(payload, bytes) else ""


def main() -> None:
    parser = argparse.ArgumentParser(description="A stand-in for the mail server.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--maildir", type=Path, required=True, help="the folder that keeps the messages")
    options = parser.parse_args()
    ending = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ending)
    try:
        controller = start_mail_server(port=options.port, maildir=options.maildir)
    except OSError as error:
        raise SystemExit(f"Mail server: port {options.port} cannot be used: {error.strerror}") from None
    print(f"Mail server on smtp://127.0.0.1:{options.port}", flush=True)
    signal.sigwait(ending)
    controller.stop(no_assert=True)


if __name__ == "__main__":
    main()
