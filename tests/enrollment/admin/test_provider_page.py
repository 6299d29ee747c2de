"""A provider's own page: what it says, who presses what, the test of the connection, and how many queries it takes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from catalog.models import Provider, ProviderLine
from catalog.provider import registry
from catalog.provider.client import Connection
from catalog.provider.errors import Refused, Unreachable
from catalog.provider.trial import Mender, Step, StepName
from enrollment import provider_checks, tasks
from enrollment.models import Event
from libraries.models import StaffRole, User
from outgoing.failures import Failure
from tests import provider_scenes
from tests.enrollment.views.visiting import words_of
from tests.factories import make_coordinator, make_librarian, make_provider, make_staff
from tests.platform_server import RunningPlatform, platform
from tests.workplace import sign_in

__all__ = ["platform"]

pytestmark = pytest.mark.django_db
Role = StaffRole.Role


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Provider:
    monkeypatch.setenv("SPRING_TOKEN", "s3cr3t-v4lue")
    return make_provider("spring", name="Spring", secret_name="SPRING_TOKEN", calls_per_second=50, calls_at_once=20)


@pytest.fixture
def mo() -> Client:
    return sign_in(make_coordinator())


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    bells: list[None] = []
    monkeypatch.setattr(tasks, "ring", lambda: bells.append(None))
    return bells


class TriedOut:
    """In place of the client for SCIM: goes these steps, with a turn for each."""

    wants_access = False

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = steps
        self.calls = 0
        self.error: Exception | None = None
        self.inside: list[bool] = []

    def __call__(self, connection_to: Connection, _session: object) -> TriedOut:
        self.connection = connection_to
        return self

    def try_out(self) -> Sequence[Step]:
        self.inside.append(connection.in_atomic_block)
        try:
            with self.connection.turn(writes=False):
                self.calls += 1
                if self.error:
                    raise self.error
        except (Unreachable, Refused) as error:
            return [Step(StepName.ANSWER, error.code, mender=Mender.NOBODY)]
        return self.steps


@pytest.fixture
def tried_out(monkeypatch: pytest.MonkeyPatch) -> TriedOut:
    steps = TriedOut([Step(StepName.CONNECT), Step(StepName.LOOK)])
    monkeypatch.setitem(registry.CLIENTS, "scim", steps)
    return steps


def page_of(provider: Provider) -> str:
    return reverse("admin:catalog_provider_change", args=[provider.pk])


def test_of(provider: Provider) -> str:
    return reverse("admin:catalog_provider_test", args=[provider.pk])


def try_of(provider: Provider) -> str:
    return reverse("admin:catalog_provider_try_now", args=[provider.pk])


test_of.__test__ = False  # type: ignore[attr-defined]


# --- What it says ---


def test_provider_that_was_never_called(mo: Client, provider: Provider) -> None:
    words = words_of(mo.get(page_of(provider)))
    assert "The portal has not called this provider yet." in words
    assert "Nothing waits." in words
    assert "No call was made in the last two weeks." in words
    assert "They were not compared yet." in words
    assert "It sends no notices" in words
    assert "Try now" not in words


def test_provider_at_work(mo: Client, provider: Provider) -> None:
    provider_scenes.make_busy(provider, now=timezone.now())
    page = mo.get(page_of(provider))
    words = words_of(page)
    assert "Works: the last call was answered." in words
    assert "to open 42 to look at or change 5 to close 3 to erase 1" in words
    assert "less than a minute 30 1 to 15 minutes 12 15 to 60 minutes 5 longer than an hour 4" in words
    assert "At what the provider allows, it takes about 1 minute (60 calls)." in words
    assert "4 accounts : Another account at the provider has this user name" in words
    stuck = reverse("admin:enrollment_provideraccount_changelist")
    address = f"{stuck}?stuck=yes&amp;provider__id__exact={provider.pk}&amp;trouble=name_taken"
    assert address in page.content.decode()
    assert "25 per second, of 50 that it allows (50 %)" in words
    assert "900 × Something went wrong at the provider." in words
    assert "1,412, 1,398 of them ours" in words


def test_provider_that_is_down(mo: Client, provider: Provider) -> None:
    now = timezone.now()
    provider_scenes.make_down(provider, now=now)
    words = words_of(mo.get(page_of(provider)))
    since = timezone.localtime(now - timedelta(hours=2))
    assert f"Down since {since:%-d %B %Y, %H:%M}. The next try is at " in words
    assert "The provider cannot be reached. It was tried 9 times since." in words
    assert "to open 340" in words
    assert "Try now" in words
    assert "Connection to the provider tested" in words


def test_provider_that_has_just_gone_down_was_not_tried_since(mo: Client, provider: Provider) -> None:
    provider_scenes.make_down(provider, now=timezone.now())
    ProviderLine.objects.update(probes=0)
    words = words_of(mo.get(page_of(provider)))
    assert "The provider cannot be reached. Until it answers, the portal makes single tries only." in words
    assert words.split("What waits")[0].count("The provider cannot be reached.") == 1


def test_list_of_providers_says_how_it_goes(mo: Client, provider: Provider) -> None:
    provider_scenes.make_down(provider, now=timezone.now())
    words = words_of(mo.get(reverse("admin:catalog_provider_changelist")))
    assert "Down since " in words


def test_page_in_dutch_and_french_is_there(mo: Client, provider: Provider) -> None:
    provider_scenes.make_busy(provider, now=timezone.now())
    for language in ("", "/fr"):
        assert mo.get(f"{language}/admin/catalog/provider/{provider.pk}/change/").status_code == 200


def test_number_of_queries_does_not_grow(mo: Client, provider: Provider) -> None:
    counts = []
    for more in (3, 297):
        now = timezone.now()
        for trouble in ("name_taken", "bad_request", "crashed"):
            provider_scenes.owe(provider, more, now=now, stuck_at=now, trouble=trouble)
        provider_scenes.owe(provider, more, now=now)
        provider_scenes.make_compared(Provider.objects.get(), now=now) if more == 3 else None
        with CaptureQueriesContext(connection) as queries:
            assert mo.get(page_of(provider)).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1]
    assert counts[0] <= 25


# --- Who presses what ---


@pytest.mark.parametrize("role", [Role.LIBRARIAN, Role.AUDITOR])
def test_others_press_nothing(provider: Provider, tried_out: TriedOut, role: str, rung: list[None]) -> None:
    provider_scenes.make_down(provider, now=timezone.now())
    events, before = Event.objects.count(), ProviderLine.objects.values().get()
    someone = make_librarian() if role == Role.LIBRARIAN else make_staff("x@example.test", role)
    client = sign_in(someone)
    for address in (test_of(provider), try_of(provider)):
        assert (client.get(address).status_code, client.post(address).status_code) == (403, 403)
    page = client.get(page_of(provider))
    assert page.status_code == (403 if role == Role.LIBRARIAN else 200)
    assert "Try now" not in page.content.decode()
    assert (tried_out.calls, Event.objects.count(), rung) == (0, events, [])
    assert ProviderLine.objects.values().get() == before


def test_librarian_sees_none_of_it(provider: Provider) -> None:
    lin = sign_in(make_librarian())
    addresses = (page_of(provider), reverse("admin:catalog_provider_changelist"), test_of(provider), try_of(provider))
    assert [lin.get(address).status_code for address in addresses] == [403] * 4
    for name in ("test", "try_now"):
        assert lin.post(reverse(f"admin:catalog_provider_{name}", args=[999_999])).status_code == 403


def test_provider_that_is_not_there(mo: Client) -> None:
    for name in ("test", "try_now"):
        for ask in (mo.get, mo.post):
            assert ask(reverse(f"admin:catalog_provider_{name}", args=[999_999])).status_code == 404


def test_try_now_makes_the_next_try_due_once(mo: Client, provider: Provider, rung: list[None]) -> None:
    provider_scenes.make_down(provider, now=timezone.now())
    assert mo.get(try_of(provider)).status_code == 302
    assert rung == []
    said = [str(m) for m in mo.post(try_of(provider), follow=True).context["messages"]]
    assert said == ["The provider is tried now."]
    line = ProviderLine.objects.get()
    assert (line.next_probe_at is not None and line.next_probe_at <= timezone.now(), len(rung)) == (True, 1)
    assert "The next try is due now." in words_of(mo.get(page_of(provider)))
    ProviderLine.objects.update(probing=True, next_probe_at=timezone.now() + timedelta(seconds=20))
    said = [str(m) for m in mo.post(try_of(provider), follow=True).context["messages"]]
    assert said == ["There was nothing to try: the provider works, or is being tried already."]
    assert len(rung) == 1
    assert "It is being tried right now." in words_of(mo.get(page_of(provider)))


def test_try_now_where_nothing_is_wrong(mo: Client, provider: Provider, rung: list[None]) -> None:
    mo.post(try_of(provider))
    assert (rung, ProviderLine.objects.count()) == ([], 0)


def test_operation_itself_asks_who_tests(provider: Provider, tried_out: TriedOut) -> None:
    for someone in (make_librarian(), make_staff("au@example.test", Role.AUDITOR)):
        with pytest.raises(provider_checks.Refused):
            provider_checks.try_out(provider, by=someone, now=timezone.now())
    assert (tried_out.calls, Event.objects.count()) == (0, 0)


def test_first_page_tells_a_coordinator_that_a_provider_is_down(mo: Client, provider: Provider) -> None:
    provider_scenes.make_down(provider, now=timezone.now())
    index = reverse("admin:index")
    page = mo.get(index)
    assert page.context["work"].down.count == 1
    assert f'<li class="bad"><a href="{reverse("admin:catalog_provider_changelist")}"><b>1</b>' in page.content.decode()
    assert sign_in(make_librarian()).get(index).context["work"].down is None


# --- The test of the connection ---


def test_test_tells_each_step_and_who_can_mend_it(ops: Client, provider: Provider, tried_out: TriedOut) -> None:
    tried_out.steps = [
        Step(StepName.CONNECT),
        Step(StepName.TLS, "bad_certificate", Failure.TLS_EXPIRED, Mender.PROVIDER),
        Step(StepName.SECRET, "bad_token", None, Mender.OPERATOR, answer='{"detail": "no such token"}'),
        Step(StepName.ABILITIES, "not_supported", None, Mender.PROVIDER, says=("filter",), lacks=("patch",)),
    ]
    page = ops.post(test_of(provider))
    words = words_of(page)
    assert "Reaching the server works" in words
    assert "Encrypting the connection failed The certificate of the server has expired." in words
    assert "Who can mend it: whoever looks after the platform at the provider." in words
    assert "Being let in with the secret failed The provider does not accept our secret." in words
    assert "What the provider answered" in words
    assert "It says that it can do: filter What we need and it lacks: patch" in words
    event = Event.objects.get()
    assert (event.kind, event.reason, event.provider_id) == ("provider_tested", "bad_certificate", provider.pk)
    assert event.actor_id is not None
    assert "The provider's certificate is not valid." in words_of(ops.get(page_of(provider)))


def test_what_the_provider_answered_is_for_operators(mo: Client, provider: Provider, tried_out: TriedOut) -> None:
    tried_out.steps = [Step(StepName.SECRET, "bad_token", None, Mender.OPERATOR, answer="no such token")]
    page = mo.post(test_of(provider)).content.decode()
    assert ("Being let in with the secret" in page, "no such token" in page) == (True, False)


def test_test_that_goes_well_is_on_record_too(mo: Client, provider: Provider, tried_out: TriedOut) -> None:
    words = words_of(mo.post(test_of(provider)))
    assert ("Everything works." in words, "failed" in words) == (True, False)
    assert Event.objects.get().reason == "good"
    assert "Everything works." in words_of(mo.get(reverse("admin:enrollment_event_changelist")))


def test_looking_at_the_page_of_the_test_calls_nobody(mo: Client, provider: Provider, tried_out: TriedOut) -> None:
    assert mo.get(test_of(provider)).status_code == 200
    assert (tried_out.calls, Event.objects.count()) == (0, 0)


def test_secret_that_is_missing_is_told_without_a_call(
    mo: Client, provider: Provider, tried_out: TriedOut, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SPRING_TOKEN")
    words = words_of(mo.post(test_of(provider)))
    assert "Reading the settings failed The secret of this provider is not set." in words
    assert "Who can mend it: the operator of the portal, in the settings of the provider." in words
    assert (tried_out.calls, Event.objects.get().reason) == (0, "no_secret")


def test_kind_that_nobody_speaks_is_told(mo: Client, provider: Provider) -> None:
    Provider.objects.update(kind="psychic")
    assert "Reading the settings failed We do not know this kind of provider." in words_of(mo.post(test_of(provider)))


def test_connection_is_tested_six_times_a_minute_by_all_together(
    mo: Client, ops: Client, provider: Provider, tried_out: TriedOut
) -> None:
    codes = [client.post(test_of(provider)).status_code for client in (mo, ops) * 4]
    assert codes == [200] * provider_checks.TESTS + [429] * 2
    assert (tried_out.calls, Event.objects.count()) == (provider_checks.TESTS, provider_checks.TESTS)
    assert "Please wait a minute and try again." in words_of_messages(mo.post(test_of(provider)))
    other = make_provider("other", secret_name="SPRING_TOKEN")
    assert mo.post(test_of(other)).status_code == 200


def words_of_messages(page: Any) -> str:
    return " ".join(str(message) for message in page.context["messages"])


def test_list_that_somebody_trusts_is_not_called_untrusted(mo: Client, provider: Provider) -> None:
    now = timezone.now()
    run = provider.reconciliations.create(asked_at=now, finished_at=now, doubt="shrunk")
    pages = [words_of(mo.get(page_of(provider)))]
    run.trusted_by = User.objects.get()
    run.save()
    pages.append(words_of(mo.get(page_of(provider))))
    assert ["Not trusted" in words for words in pages] == [True, False]


def test_test_is_the_next_try_of_a_provider_that_is_down(mo: Client, provider: Provider, tried_out: TriedOut) -> None:
    provider_scenes.make_down(provider, now=timezone.now())
    tried_out.error = Unreachable("unreachable")
    assert "failed The provider cannot be reached." in words_of(mo.post(test_of(provider)))
    assert (tried_out.calls, ProviderLine.objects.get().down_since is None) == (1, False)
    tried_out.error = None
    assert "Everything works." in words_of(mo.post(test_of(provider)))
    assert (tried_out.calls, ProviderLine.objects.get().down_since) == (2, None)


def test_test_leaves_a_pause_that_the_provider_asked_for(mo: Client, provider: Provider, tried_out: TriedOut) -> None:
    until = timezone.now() + timedelta(minutes=10)
    provider_scenes.set_line(provider, paused_until=until, last_trouble_at=timezone.now(), last_trouble="rate_limited")
    assert "failed The provider had no room for another call yet." in words_of(mo.post(test_of(provider)))
    assert (tried_out.calls, ProviderLine.objects.get().paused_until) == (0, until)
    assert "Paused until" in words_of(mo.get(page_of(provider)))


def test_other_settings_bring_the_next_try(ops: Client, provider: Provider, rung: list[None]) -> None:
    provider_scenes.make_down(provider, now=timezone.now())
    told = {
        **{name: getattr(provider, name) for name in ("name", "kind", "base_url", "start_url", "opens_first")},
        **{name: getattr(provider, name) for name in ("calls_per_second", "calls_at_once", "fuse_percent")},
    }
    ops.post(page_of(provider), {**told, "secret_name": "SPRING_TOKEN", "name": "Lente"})
    assert rung == []
    ops.post(page_of(provider), {**told, "secret_name": "LENTE_TOKEN"})
    line = ProviderLine.objects.get()
    assert (line.next_probe_at is not None and line.next_probe_at <= timezone.now(), len(rung)) == (True, 1)


@pytest.mark.django_db(transaction=True)
def test_nobody_is_asked_inside_a_transaction(ops: Client, provider: Provider, tried_out: TriedOut) -> None:
    assert ops.post(test_of(provider)).status_code == 200
    assert tried_out.inside == [False]


def test_real_platform_is_tested(mo: Client, provider: Provider, platform: RunningPlatform, monkeypatch: Any) -> None:
    Provider.objects.update(base_url=platform.base_url)
    monkeypatch.setenv("SPRING_TOKEN", platform.token)
    words = words_of(mo.post(test_of(provider)))
    assert "Being let in with the secret works" in words
    assert "Everything works." in words
    monkeypatch.setenv("SPRING_TOKEN", "another-token")
    words = words_of(mo.post(test_of(provider)))
    assert "Being let in with the secret failed The provider does not accept our secret." in words
    assert "Down since" in words_of(mo.get(page_of(provider)))
    monkeypatch.setenv("SPRING_TOKEN", platform.token)
    assert "Everything works." in words_of(mo.post(test_of(provider)))
    assert "Works: the last call was answered." in words_of(mo.get(page_of(provider)))
    assert list(Event.objects.order_by("pk").values_list("reason", flat=True)) == ["good", "bad_token", "good"]
    assert platform.accounts() == []
