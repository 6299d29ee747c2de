"""PINs are used once, in memory; of what a library system says, only the verdict is kept.

Searched for after journeys through the pages, with the system at its worst, and with errors forced at every step.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import LazySettings
from django.contrib.sessions.backends.db import SessionStore
from django.core.cache import cache
from django.http import HttpRequest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.views.debug import ExceptionReporter

from enrollment import asking_again, tasks
from enrollment.models import Enrollment
from libraries.cards import sip2_pool
from libraries.models import Library, User
from portal.sandbox.library_cards import CARDS, LibraryCard
from tests.canaries import Watch, watching
from tests.enrollment.views.visiting import GOOD, card_page, sign_in
from tests.factories import make_institution, make_library, make_programme, make_system
from tests.library_server import INSTITUTION, LOCATION, USER, Condition, Kind, RunningLibrary, running_library

pytestmark = pytest.mark.django_db

PIN, WRONG = "kanarie.PIN-7531", "kanarie.FOUT-8642"
NAME = "Kanarina Vogelaers"
NUMBER = "28599001"
# The PINs; what only the library system knows of this person; what only stands in a message.
CANARIES = (
    *(PIN, WRONG, PIN[:11], WRONG[:12]),
    *("Kanarina", "Vogelaers", "Leiestraat", f"reader{NUMBER}", "056 00 90", "19440518"),
    *("|BLY", "|CQY", "|CQN", "|AA", "AO" + INSTITUTION, "2300120", "6300120", "9300CN"),
)


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningLibrary]:
    card = LibraryCard(NUMBER, PIN, Condition.GOOD, NAME, date(1944, 5, 18), days_left=300)
    monkeypatch.setitem(CARDS, NUMBER, card)
    with running_library(tmp_path, slow=0.1) as running:
        yield running
        sip2_pool.close_all()


@pytest.fixture
def kortrijk(library: RunningLibrary) -> Library:
    institution = make_institution("kortrijk")
    make_system(
        institution,
        port=library.port,
        login=USER,
        location=LOCATION,
        institution_code=INSTITUTION,
        secret_name="SANDBOX_LIBRARY_PASSWORD",
        asks_expiry=True,
        timeout_seconds=1,
    )
    made = make_library("Kortrijk", institution)
    make_programme()
    return made


@pytest.fixture
def watch(caplog: pytest.LogCaptureFixture, settings: LazySettings) -> Iterator[Watch]:
    with watching(caplog, settings) as found:
        yield found


@pytest.fixture
def ada(kortrijk: Library, watch: Watch) -> Client:
    client = Client(raise_request_exception=False)
    sign_in(client)
    return client


def apply(client: Client, library: Library, watch: Watch, pin: str, **fields: str) -> Any:
    """Fill in the card step; the page that follows is watched too."""
    answer = client.post(card_page(library), GOOD | {"number": NUMBER, "pin": pin} | fields)
    watch.pages.append(f"{answer.headers}\n{answer.content.decode()}")
    return answer


def outcome() -> tuple[str, str] | None:
    """The states of the one application and its card."""
    found = Enrollment.objects.select_related("card").first()
    return (found.state, found.card.state) if found else None


# --- Journeys ---


def test_right_pin_leaves_nothing(ada: Client, kortrijk: Library, watch: Watch) -> None:
    assert apply(ada, kortrijk, watch, PIN).status_code == 302
    assert outcome() == ("seated", "confirmed")
    for page in ("/en/join/done/", "/en/my/"):
        watch.pages.append(ada.get(page).content.decode())
    assert watch.found(CANARIES) == []


def test_wrong_pins_leave_nothing_however_many(ada: Client, kortrijk: Library, watch: Watch) -> None:
    statuses = [apply(ada, kortrijk, watch, WRONG).status_code for _ in range(6)]
    assert statuses == [200] * 5 + [429]
    assert outcome() is None
    assert watch.found(CANARIES) == []


@pytest.mark.parametrize("kind", Kind)
def test_system_that_fails_leaves_nothing(
    kind: Kind, ada: Client, kortrijk: Library, library: RunningLibrary, watch: Watch
) -> None:
    """When it answers again, Ada is told to come back, and does so: with a wrong PIN, then with hers."""
    fails = kind not in (Kind.SLOW, Kind.OFFLINE)
    library.fault(kind)
    assert apply(ada, kortrijk, watch, PIN).status_code == 302
    assert outcome() == (("held", "claimed") if fails else ("seated", "confirmed"))
    library.fault(None)
    if fails:
        assert asking_again.ask_again(now=timezone.now()) == 1
        proof = reverse("my_card_proof", args=[Enrollment.objects.get().pk])
        for pin in (WRONG, PIN):
            watch.pages.append(ada.post(proof, {"pin": pin}).content.decode())
    assert outcome() == ("seated", "confirmed")
    assert watch.found(CANARIES) == []


@pytest.mark.parametrize("typed", [PIN + "|AD1", PIN + "\r", PIN + "€", PIN * 700, "\x00" + PIN])
def test_what_is_no_pin_leaves_nothing(typed: str, ada: Client, kortrijk: Library, watch: Watch) -> None:
    assert apply(ada, kortrijk, watch, typed).status_code in (200, 302)
    assert watch.found(CANARIES) == []


def test_form_with_another_mistake_does_not_give_the_pin_back(ada: Client, kortrijk: Library, watch: Watch) -> None:
    assert apply(ada, kortrijk, watch, PIN, first_name="").status_code == 200
    assert watch.found(CANARIES) == []


# --- With an error forced in the middle ---

STEPS = [
    "libraries.membership.check_of",
    "libraries.cards.sip2_check.judge",
    "libraries.cards.sip2._field",
    "libraries.cards.sip2._kept",
    "libraries.cards.sip2._card",
    "libraries.cards.sip2_connection.Connection._send",
    "libraries.cards.sip2_connection.Connection._receive",
    "libraries.guessing.Guess.was_right",
    "enrollment.applying._enter",
    "enrollment.card_checking.claim",
]


def failing(*args: Any, **kwargs: Any) -> Any:
    raise RuntimeError("forced")


@pytest.mark.parametrize("step", STEPS)
def test_error_in_the_middle_leaves_nothing(
    step: str, ada: Client, kortrijk: Library, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(step, failing)
        assert apply(ada, kortrijk, watch, PIN).status_code == 500
    assert outcome() is None
    assert watch.reports() == ["[Django] ERROR (EXTERNAL IP): Internal Server Error: /en/join/card/"] * 2
    assert watch.found(CANARIES) == []
    assert apply(ada, kortrijk, watch, PIN).status_code == 302
    assert outcome() == ("seated", "confirmed")
    assert watch.found(CANARIES) == []


def test_report_of_the_framework_would_have_held_both(
    ada: Client, kortrijk: Library, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the guard is for: the same error, told with Django's own report."""
    monkeypatch.setattr("libraries.cards.sip2._card", failing)
    apply(ada, kortrijk, watch, PIN)
    (record,) = [record for record in watch.caplog.records if record.exc_info]
    assert record.exc_info is not None
    request: HttpRequest = record.__dict__["request"]
    report = ExceptionReporter(request, *record.exc_info).get_traceback_html()
    assert [word in report for word in (PIN, "Kanarina", "Leiestraat")] == [True, True, True]


# --- The search itself ---


def hide_in_the_session(ada: Client) -> None:
    session = SessionStore(ada.cookies["session"].value)
    session["draft"] = {"pin": PIN, "more": "x" * 500}
    session.save()


def hide_in_the_cache(ada: Client) -> None:
    cache.set("kept", {"pin": PIN})


def hide_in_a_row(ada: Client) -> None:
    User.objects.update(first_name=PIN)


def hide_in_a_task(ada: Client) -> None:
    tasks.send_letters.apply_async(headers={"pin": PIN})


def hide_in_the_log(ada: Client) -> None:
    logging.getLogger("libraries").debug("asked with %s", PIN)


@pytest.mark.parametrize(
    ("hide", "where"),
    [
        (hide_in_the_session, "django_session, packed"),
        (hide_in_the_cache, "cache, packed"),
        (hide_in_a_row, "libraries_user"),
        (hide_in_a_task, "broker b'mail'"),
        (hide_in_the_log, "log"),
    ],
)
def test_search_finds_what_is_hidden(
    hide: Callable[[Client], None], where: str, ada: Client, kortrijk: Library, watch: Watch, settings: LazySettings
) -> None:
    apply(ada, kortrijk, watch, PIN)
    hide(ada)
    assert watch.found([PIN]) == [f"{where}: {PIN}"]
    with redis.Redis.from_url(settings.REDIS_URL) as broker:
        broker.flushdb()
