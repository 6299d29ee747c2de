from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from django.conf import LazySettings
from django.core import mail
from django.core.mail import EmailMultiAlternatives
from django.db import connection
from django.utils import timezone

from catalog.models import Programme
from enrollment import card_checking, closing, drafts, ending, letters, staff_drafts, waiting_list
from enrollment.models import Enrollment, Letter, ProviderAccount
from libraries.models import Card
from portal.sandbox.mail import read_mail, start_mail_server
from tests.factories import (
    NOW,
    make_coordinator,
    make_institution,
    make_librarian,
    make_library,
    make_member,
    make_programme,
)
from tests.letters import check_complete

LATER = NOW + timedelta(minutes=1)


@pytest.fixture
def programme(db: None) -> Programme:
    make_library()
    return make_programme(cap=1)


@pytest.fixture
def ada(programme: Programme) -> Enrollment:
    """Her place is held; the letter that says so is owed."""
    return make_member(programme=programme, now=NOW)


def clock(moment: datetime = LATER) -> Callable[[], datetime]:
    return lambda: moment


def send_all(moment: datetime = LATER) -> list[EmailMultiAlternatives]:
    while letters.send_next(now=clock(moment)):
        pass
    return [message for message in mail.outbox if isinstance(message, EmailMultiAlternatives)]


def the_letter(kind: str | None = None) -> Letter:
    return Letter.objects.get(**({"kind": kind} if kind else {}))


def confirm(enrollment: Enrollment) -> None:
    institution = make_institution()
    lin = make_librarian(institution)
    card_checking.confirm(card_id=enrollment.card_id, by=lin, now=NOW)


def open_account(enrollment: Enrollment) -> None:
    """The provider has confirmed it, and the letter is owed."""
    ProviderAccount.objects.filter(user=enrollment.user).update(seen="active", seen_at=NOW, remote_id="7", due_at=None)
    Letter.objects.owe(Letter.Kind.ACCOUNT_READY, enrollment, now=NOW)


# --- What they say ---


# Those that come with a seat's usual way; the others are read where it is told how they come to be owed.
KINDS = (
    *(Letter.Kind.SEAT_GIVEN, Letter.Kind.SEAT_HELD, Letter.Kind.IN_QUEUE, Letter.Kind.CARD_CONFIRMED),
    *(Letter.Kind.CARD_REFUSED, Letter.Kind.HOLD_LAPSED, Letter.Kind.ACCOUNT_READY, Letter.Kind.TERM_ENDING),
    *(Letter.Kind.TERM_ENDS_SOON, Letter.Kind.SEAT_RENEWED, Letter.Kind.SEAT_ENDED),
    *(Letter.Kind.PROGRAMME_CLOSES, Letter.Kind.MERGED),
)
ENDING = (Letter.Kind.TERM_ENDING, Letter.Kind.TERM_ENDS_SOON, Letter.Kind.SEAT_RENEWED)


def owe(kind: str, programme: Programme) -> Letter:
    """A letter of this kind that is true now."""
    member = make_member("cy@example.test", programme=programme, now=NOW)
    if kind == Letter.Kind.IN_QUEUE:
        member = make_member("bo@example.test", programme=programme, now=NOW, first_name="Bo")
    elif kind in (Letter.Kind.CARD_CONFIRMED, Letter.Kind.ACCOUNT_READY, Letter.Kind.SEAT_GIVEN):
        confirm(member)
    elif kind == Letter.Kind.HOLD_LAPSED:
        waiting_list.lapse_holds(now=NOW + timedelta(days=15))
    elif kind == Letter.Kind.CARD_REFUSED:
        lin = make_librarian(make_institution())
        card_checking.refuse(card_id=member.card_id, reason=Card.Refusal.EXPIRED, by=lin, now=NOW)
    elif kind == Letter.Kind.SEAT_ENDED:
        ending.give_back(enrollment_id=member.pk, by=member.user, now=NOW)
    elif kind == Letter.Kind.PROGRAMME_CLOSES:
        plan = closing.Plan(closes_on=timezone.localdate() + timedelta(days=30))
        closing.close(pool_id=member.pool_id, plan=plan, reason="x", by=make_coordinator(), now=NOW)
    elif kind in ENDING:
        confirm(member)
        Enrollment.objects.filter(pk=member.pk).update(ends_at=timezone.now() + timedelta(days=5))
        Letter.objects.owe(kind, member, now=NOW)
    if kind == Letter.Kind.ACCOUNT_READY:
        open_account(member)
    if kind in (Letter.Kind.SEAT_GIVEN, Letter.Kind.MERGED):
        Letter.objects.owe(kind, member, now=NOW)
    return Letter.objects.get(enrollment=member, kind=kind)


def test_every_kind_of_letter_can_be_written() -> None:
    assert drafts.TO_MEMBERS.keys() | staff_drafts.TO_STAFF.keys() == set(Letter.Kind)


@pytest.mark.parametrize("language", ["nl", "fr", "en"])
@pytest.mark.parametrize("kind", KINDS)
def test_letter_of_each_kind_is_complete_in_each_language(kind: str, language: str, programme: Programme) -> None:
    letter = owe(kind, programme)
    page = "join" if kind in ("card_refused", "seat_ended") else "my"
    check_complete(letter, language, page=page)


@pytest.mark.parametrize("reason", Card.Refusal.values)
def test_refusal_says_why_and_what_to_do(reason: str, ada: Enrollment) -> None:
    lin = make_librarian(make_institution())
    words = "Kom langs aan de balie.\nTot dan!"
    card_checking.refuse(card_id=ada.card_id, reason=Card.Refusal(reason), by=lin, now=NOW, words=words)
    letter = Letter.objects.get(kind=Letter.Kind.CARD_REFUSED)
    message = drafts.compose(letter)
    assert message is not None
    assert f"\n\n{Card.Refusal(reason).label}\n\n" in message.body
    assert words in message.body
    assert "Kom langs aan de balie.<br>Tot dan!" in str(message.alternatives[0][0])


def test_letter_about_the_queue_says_when_a_place_may_come_if_that_is_known(programme: Programme) -> None:
    people = [make_member(f"m{number}@example.test", programme=programme, now=NOW) for number in range(7)]
    bo = make_member("bo@example.test", programme=programme, now=NOW, language="en")
    letter = Letter.objects.get(enrollment=bo, kind=Letter.Kind.IN_QUEUE)
    assert "You can expect a place" not in str(getattr(drafts.compose(letter), "body", ""))
    for each in people[:6]:
        ending.give_back(enrollment_id=each.pk, by=each.user, now=timezone.now())
    body = str(getattr(drafts.compose(letter), "body", ""))
    assert re.search(r"\n\nYou can expect a place between .*\. It is an estimate, not a promise\.\n\n", body)


def test_names_and_words_are_escaped_in_html_and_plain_in_text(programme: Programme) -> None:
    programme.name = "Leren & <b>lezen</b>"
    programme.save()
    ada = make_member(programme=programme, now=NOW, first_name="<script>alert(1)</script>")
    lin = make_librarian(make_institution())
    words = "<img src=x onerror=alert(1)> & {{ first_name }}"
    card_checking.refuse(card_id=ada.card_id, reason=Card.Refusal.OTHER, by=lin, now=NOW, words=words)
    message = drafts.compose(the_letter(Letter.Kind.CARD_REFUSED))
    assert message is not None
    html = str(message.alternatives[0][0])
    assert "<script" not in html
    assert "<img" not in html
    assert "<b>" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "&lt;img src=x onerror=alert(1)&gt; &amp; {{ first_name }}" in html
    assert "<script>alert(1)</script>" in message.body
    assert words in message.body


def test_newlines_in_names_reach_no_header_and_start_no_line(programme: Programme) -> None:
    programme.name = "Leren\nBcc: eve@example.test"
    programme.save()
    make_member(programme=programme, now=NOW, first_name="Ada\r\nBcc: eve@example.test\r\n\r\nPay here")
    (message,) = send_all()
    sent = message.message()
    assert sent["To"] == "ada@example.test"
    assert sent["Bcc"] is None
    assert message.recipients() == ["ada@example.test"]
    assert not re.search(r"^(Bcc|Pay)", str(message.body), re.MULTILINE)


def test_address_that_is_two_is_never_written_to(ada: Enrollment) -> None:
    ada.user.email = "ada@example.test\nbcc: eve@example.test"
    ada.user.save()
    assert send_all() == []
    assert the_letter().trouble == "BadHeaderError"


def test_link_never_follows_a_host(ada: Enrollment, settings: LazySettings) -> None:
    settings.SITE_URL = "https://leerkaart.test"
    (message,) = send_all()
    links = re.findall(r"https?://[^\s\"<]+", message.body + str(message.alternatives[0][0]))
    assert {link.split("/")[2] for link in links} == {"leerkaart.test"}


def test_letter_says_that_a_machine_wrote_it_and_which_letter_it_is(ada: Enrollment) -> None:
    (message,) = send_all()
    letter = the_letter()
    sent = message.message()
    assert sent["Message-ID"] == f"<letter-{letter.pk}-0@testserver>"
    assert sent["Auto-Submitted"] == "auto-generated"
    assert (letter.sent_at, letter.due_at, letter.attempts) == (LATER, None, 1)


# --- Only what is still true ---


def test_queue_letter_tells_the_place_at_the_moment_of_sending(ada: Enrollment, programme: Programme) -> None:
    bo = make_member("bo@example.test", programme=programme, now=NOW + timedelta(seconds=1))
    make_member("cy@example.test", programme=programme, now=NOW + timedelta(seconds=2), language="en")
    letter = Letter.objects.get(user__email="cy@example.test")
    before = drafts.compose(letter)
    ending.give_back(enrollment_id=bo.pk, by=bo.user, now=NOW)
    after = drafts.compose(letter)
    assert before is not None
    assert after is not None
    assert "number 2 in the queue" in re.sub(r"\s+", " ", str(before.alternatives[0][0]))
    assert "number 1 in the queue" in re.sub(r"\s+", " ", str(after.alternatives[0][0]))


def test_letter_that_is_no_longer_true_is_settled_without_sending(ada: Enrollment) -> None:
    ending.give_back(enrollment_id=ada.pk, by=ada.user, now=NOW)
    assert [message.message()["Message-ID"] for message in send_all()] == [
        f"<letter-{the_letter(Letter.Kind.SEAT_ENDED).pk}-0@testserver>"
    ]
    held = the_letter(Letter.Kind.SEAT_HELD)
    assert (held.sent_at, held.dropped_at, held.due_at) == (None, LATER, None)


def test_confirmed_card_with_a_seat_given_at_once_is_told_once(ada: Enrollment) -> None:
    waiting_list.lapse_holds(now=NOW + timedelta(days=15))
    confirm(ada)
    send_all()
    sent = Letter.objects.filter(sent_at__isnull=False).values_list("kind", flat=True)
    assert list(sent) == [Letter.Kind.SEAT_GIVEN]


def test_nobody_whose_account_is_closed_gets_a_letter(ada: Enrollment) -> None:
    ada.user.is_active = False
    ada.user.save()
    assert send_all() == []
    assert the_letter().dropped_at == LATER


def test_ready_waits_until_the_provider_says_so(ada: Enrollment) -> None:
    confirm(ada)
    send_all()
    open_account(ada)
    accounts = ProviderAccount.objects.all()
    accounts.update(seen="absent")
    mail.outbox.clear()
    assert send_all() == []
    ready = the_letter(Letter.Kind.ACCOUNT_READY)
    assert (ready.sent_at, ready.dropped_at, ready.trouble) == (None, None, "not_true_yet")
    accounts.update(seen="active")
    assert len(send_all(LATER + timedelta(hours=1))) == 1


def test_ready_is_not_said_of_a_place_that_has_ended(ada: Enrollment) -> None:
    confirm(ada)
    open_account(ada)
    ending.give_back(enrollment_id=ada.pk, by=ada.user, now=NOW)
    send_all()
    assert the_letter(Letter.Kind.ACCOUNT_READY).dropped_at == LATER


# --- Sending ---


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Refusing:
    """A mail server that answers every recipient with one answer, and keeps what it took."""

    def __init__(self) -> None:
        self.answer = ""
        self.taken: list[bytes] = []

    async def handle_RCPT(self, server: object, session: object, envelope: object, address: str, _: object) -> str:
        if not self.answer:
            envelope.rcpt_tos.append(address)  # type: ignore[attr-defined]  # aiosmtpd has no types
        return self.answer or "250 OK"

    async def handle_DATA(self, server: object, session: object, envelope: object) -> str:
        self.taken.append(envelope.content)  # type: ignore[attr-defined]  # aiosmtpd has no types
        return "250 OK"


@pytest.fixture
def smtp(settings: LazySettings) -> LazySettings:
    """Letters go to a port of this machine, where nobody listens yet."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", free_port(), 5
    return settings


@pytest.fixture
def server(smtp: LazySettings) -> Iterator[Refusing]:
    handler = Refusing()
    controller = Controller(handler, hostname="127.0.0.1", port=smtp.EMAIL_PORT)
    controller.start()
    yield handler
    controller.stop(no_assert=True)


def test_dead_mail_server_loses_no_letter(ada: Enrollment, smtp: LazySettings, tmp_path: Path) -> None:
    moment = LATER
    for _ in range(letters.MOST_ATTEMPTS + 5):
        assert letters.send_next(now=clock(moment))
        letter = the_letter()
        assert (letter.trouble, letter.sent_at, letter.stuck_at) == ("unreachable", None, None)
        assert letter.due_at is not None
        assert timedelta(minutes=1) <= letter.due_at - moment <= timedelta(hours=1)
        moment = letter.due_at
    server = start_mail_server(port=smtp.EMAIL_PORT, maildir=tmp_path / "mail")
    assert letters.send_next(now=clock(moment))
    server.stop(no_assert=True)
    assert [mail.to for mail in read_mail(tmp_path / "mail")] == ["ada@example.test"]
    assert the_letter().sent_at == moment


def test_recipient_refused_for_good_is_shown_to_people(
    ada: Enrollment, server: Refusing, caplog: pytest.LogCaptureFixture
) -> None:
    server.answer = "550 No such mailbox: ada@example.test"
    assert letters.send_next(now=clock())
    letter = the_letter()
    assert (letter.trouble, letter.stuck_at, letter.sent_at) == ("recipient_550", LATER, None)
    assert not letters.send_next(now=clock(LATER + timedelta(days=9)))
    ours = [record.getMessage() for record in caplog.records if record.name != "mail.log"]
    assert ours == [f"letter {letter.pk} is stuck: recipient_550"]


def test_recipient_refused_for_now_is_tried_again_and_in_the_end_shown_to_people(
    ada: Enrollment, server: Refusing
) -> None:
    server.answer = "451 Please come back"
    letters.send_next(now=clock())
    assert (the_letter().trouble, the_letter().stuck_at) == ("recipient_451", None)
    Letter.objects.update(attempts=letters.MOST_ATTEMPTS - 1)
    letters.send_next(now=clock(LATER + timedelta(hours=2)))
    assert the_letter().stuck_at is not None


def test_letter_that_kills_its_worker_again_and_again_is_shown_to_people(ada: Enrollment) -> None:
    Letter.objects.update(attempts=letters.MOST_ATTEMPTS)
    letters.send_next(now=clock())
    letter = the_letter()
    assert (letter.trouble, letter.stuck_at, mail.outbox) == ("crashed", LATER, [])


def test_worker_killed_after_sending_sends_the_same_letter_again(ada: Enrollment, server: Refusing) -> None:
    killed = Letter.objects.claim(now=LATER, lease=letters.LEASE)
    assert killed is not None
    message = drafts.compose(killed)
    assert message is not None
    message.send()
    assert not letters.send_next(now=clock(LATER + timedelta(seconds=30)))
    assert letters.send_next(now=clock(LATER + letters.LEASE))
    ids = [re.findall(rb"^Message-ID: (.+?)\r?$", each, re.MULTILINE) for each in server.taken]
    assert ids == [[f"<letter-{killed.pk}-0@testserver>".encode()]] * 2


def test_worker_that_slept_past_its_lease_sends_and_writes_nothing(ada: Enrollment) -> None:
    asleep = Letter.objects.claim(now=LATER, lease=letters.LEASE)
    assert asleep is not None
    awake = LATER + timedelta(minutes=5)
    assert letters.send_next(now=clock(awake))
    outcome = letters._send(asleep, clock(awake))
    assert not Letter.objects.publish(asleep, **outcome)
    assert len(mail.outbox) == 1
    assert the_letter().sent_at == awake


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_send_each_letter_once(server: Refusing) -> None:
    make_library()
    programme = make_programme(cap=20)
    for number in range(12):
        make_member(f"member{number}@example.test", programme=programme, now=NOW)
    barrier = threading.Barrier(4)

    def work() -> None:
        barrier.wait()
        while letters.send_next(now=timezone.now):
            pass
        connection.close()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(server.taken) == 12
    assert Letter.objects.filter(sent_at__isnull=False, attempts=1).count() == 12
