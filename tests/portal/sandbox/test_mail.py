import signal
import smtplib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller

from portal.sandbox.mail import Mail, read_mail, start_mail_server

ROOT = Path(__file__).resolve().parents[3]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    return tmp_path / "box" / "mail"


@pytest.fixture
def server(maildir: Path) -> Iterator[Controller]:
    controller = start_mail_server(port=free_port(), maildir=maildir)
    yield controller
    controller.stop()


def letter(subject: str, text: str, html: str = "", to: str = "ada@example.be") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "seats@example.be", to, subject
    message.set_content(text)
    if html:
        message.add_alternative(html, subtype="html")
    return message


def send(server: Controller, *messages: EmailMessage) -> None:
    with smtplib.SMTP("127.0.0.1", server.port, timeout=5) as smtp:
        for message in messages:
            smtp.send_message(message)


def test_mail_is_read_as_it_was_written(server: Controller, maildir: Path) -> None:
    text, html = "Dag Zoë, je plaats is klaar → ga\n", "<p>Dag Zoë 漢字 \U0001f4da</p>\n"
    send(server, letter("Je plaats is klaar – élan", text, html))
    (mail,) = read_mail(maildir)
    assert mail == Mail("ada@example.be", "Je plaats is klaar – élan", text, html, mail.at)
    assert abs(datetime.now(UTC) - mail.at) < timedelta(seconds=5)


def test_long_subject_that_begins_on_a_line_of_its_own(server: Controller, maildir: Path) -> None:
    with smtplib.SMTP("127.0.0.1", server.port, timeout=5) as smtp:
        smtp.sendmail("a@example.be", ["bo@example.be"], b"Subject: \r\n =?utf-8?q?=E2=80=9CA=E2=80=9D?=\r\n\r\nHello")
    assert [mail.subject for mail in read_mail(maildir)] == ["“A”"]


def test_newest_mail_comes_first(server: Controller, maildir: Path) -> None:
    send(server, *(letter(f"Letter {number}", "…") for number in range(12)))
    assert [mail.subject for mail in read_mail(maildir)] == [f"Letter {n}" for n in range(11, -1, -1)]
    assert [mail.subject for mail in read_mail(maildir, limit=2)] == ["Letter 11", "Letter 10"]


def test_recipient_is_who_really_gets_it(server: Controller, maildir: Path) -> None:
    with smtplib.SMTP("127.0.0.1", server.port, timeout=5) as smtp:
        smtp.sendmail("a@example.be", ["bo@example.be"], letter("Hello", "…").as_bytes())
    assert [mail.to for mail in read_mail(maildir)] == ["bo@example.be"]


def test_folder_that_is_not_there_has_no_mail(tmp_path: Path) -> None:
    assert read_mail(tmp_path / "nothing") == []


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"Content-Type: text/plain; charset=klingon\r\n\r\nHello",
        b"Content-Type: text/plain; charset=utf-8\r\n\r\nH\xffi",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\nno parts",
        b"Subject: =?klingon?q?x?=\r\nTo: <>, ,;\r\n\r\n",
        b"\x00\x01\x02",
    ],
)
def test_unreadable_mail_does_not_hide_the_others(maildir: Path, server: Controller, raw: bytes) -> None:
    (maildir / "new" / "1700000000.M1P1Q1.host").write_bytes(raw)
    send(server, letter("Readable", "…"))
    assert [mail.subject for mail in read_mail(maildir)][0] == "Readable"
    assert len(read_mail(maildir)) == 2


def test_program_takes_mail_and_ends_on_sigterm(maildir: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "portal.sandbox.mail", "--port", str(port), "--maildir", str(maildir)]
    program = subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert program.stdout is not None
        assert program.stdout.readline() == f"Mail server on smtp://127.0.0.1:{port}\n"
        with smtplib.SMTP("127.0.0.1", port, timeout=5) as smtp:
            smtp.send_message(letter("Kept", "…"))
        began = time.monotonic()
        program.send_signal(signal.SIGTERM)
        assert (program.wait(timeout=5), time.monotonic() - began < 1.5) == (0, True)
        assert program.communicate() == ("", "")
    finally:
        program.kill()
        program.communicate()
    assert [mail.subject for mail in read_mail(maildir)] == ["Kept"]
