"""Without the broker every page answers, and what was accepted is done when it is back."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import date

import pytest
import requests
from django.test import Client
from django.utils import timezone
from standardwebhooks import Webhook

from catalog.models import Programme
from enrollment.models import Enrollment, ProviderNotice
from libraries.models import Institution, Library
from tests.catalog.provider.test_notices import CLOSED
from tests.factories import make_user
from tests.faults.conftest import FACT, NOTICES_SECRET
from tests.faults.stage import NOTICES, Stage, until
from tests.rosters import put_on_roster

pytestmark = pytest.mark.faults

AT_MOST = 3.0
SECRET = "0123456789abcdef0123456789abcdef"


@contextmanager
def refuses() -> Iterator[int]:
    """A port that nobody listens on, and nobody can take."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@contextmanager
def never_answers() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0), backlog=100) as silent:
        yield silent.getsockname()[1]


@contextmanager
def never_connects() -> Iterator[int]:
    """The line of those who wait for a connection is full: the packets of all others are dropped."""
    with ExitStack() as stack:
        deaf = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(deaf.getsockname())
        yield deaf.getsockname()[1]


BROKERS = {"refuses": refuses, "never answers": never_answers, "never connects": never_connects}


@pytest.mark.parametrize("broker", BROKERS)
def test_portal_answers_and_accepts(stage: Stage, programme: Programme, broker: str) -> None:
    with BROKERS[broker]() as port:
        site = web(stage, broker_url=f"redis://127.0.0.1:{port}/0")
        assert requests.get(f"{site}/readyz", timeout=AT_MOST).json()["status"] == "degraded"
        for _ in range(2):
            assert requests.get(f"{site}/", timeout=AT_MOST).status_code == 200
        for number in range(3):
            join(site, number)
        tell(site)
    assert Enrollment.objects.filter(state=Enrollment.State.SEATED).count() == 3
    stage.worker()
    stage.settle()
    stage.check_all_done(accepted=3)
    stage.sweep(NOTICES)
    until(lambda: list(ProviderNotice.objects.values_list("outcome", flat=True)) == ["unknown"])


def web(stage: Stage, *, broker_url: str, threads: int = 1) -> str:
    """One process, one request at a time: whoever waits makes the next one wait."""
    bind = ("--bind", "127.0.0.1:0", "--workers", "1", "--threads", str(threads), "--no-control-socket")
    gunicorn = ("-m", "gunicorn", "portal.wsgi", *bind)
    settings = {"REDIS_URL": broker_url, "DJANGO_SETTINGS_MODULE": "tests.faults.web_settings"}
    program = stage.start("web", *gunicorn, **settings)
    until(lambda: "Listening at: " in program.tail(50))
    site = program.tail(50).split("Listening at: ")[1].split()[0]
    # The process takes its time to begin; that is not what is measured here.
    assert requests.get(f"{site}/healthz", timeout=60).status_code == 200
    return site


def join(site: str, each: int) -> None:
    send = joining(site, each)
    started = time.monotonic()
    send()
    assert time.monotonic() - started < AT_MOST


def joining(site: str, each: int) -> Callable[[], None]:
    """The card step of a new member who has signed in, ready to be sent."""
    halle, number = Institution.objects.get(slug="halle"), f"2100000{each}"
    put_on_roster(halle, number, FACT, valid_until=date(2099, 1, 1))
    client = Client()
    client.force_login(make_user(f"member{each}@example.test"))
    form = {"number": number, "second_fact": FACT, "first_name": "Ada", "last_name": "Peeters", "language": "nl"}
    cookies = {"session": client.cookies["session"].value, "csrf": SECRET}
    address = f"{site}/join/card/?library={Library.objects.get(institution=halle).pk}"

    def send() -> None:
        data = form | {"csrfmiddlewaretoken": SECRET}
        answer = requests.post(address, data=data, cookies=cookies, allow_redirects=False, timeout=30)
        assert (answer.status_code, answer.headers["Location"]) == (302, "/join/done/?programme=leerkaart")

    return send


def tell(site: str, *, number: str = "msg_1", within: float = AT_MOST) -> None:
    """The provider tells something, and is answered."""
    body, now = json.dumps({**CLOSED, "data": {"id": number}}), timezone.now()
    stamp, signature = str(int(now.timestamp())), Webhook(NOTICES_SECRET).sign(number, now, body)
    headers = {"webhook-id": number, "webhook-timestamp": stamp, "webhook-signature": signature}
    answer = requests.post(f"{site}/hooks/skillstown/", data=body, headers=headers, timeout=within)
    assert answer.status_code == 202
