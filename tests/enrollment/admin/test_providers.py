"""Where operators say how a provider is reached: what is refused, what is on record, and who may."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import models
from django.forms import ModelForm, modelform_factory
from django.test import Client

from catalog.models import Provider
from enrollment import provider_checks
from enrollment.models import Event, ProviderAccount
from enrollment.provider_forms import ProviderForm
from libraries.models import StaffRole
from tests.enrollment.views.visiting import words_of
from tests.factories import NOW, make_coordinator, make_provider, make_staff, make_user
from tests.workplace import sign_in

pytestmark = pytest.mark.django_db
LIST = "/en/admin/catalog/provider/"
VALUE = "s3cr3t-v4lue"


def page_of(provider: Provider) -> str:
    return f"{LIST}{provider.pk}/change/"


def filled_in(**fields: Any) -> dict[str, Any]:
    told = {
        "name": "Spring",
        "kind": "scim",
        "base_url": "https://scim.spring.example/v2",
        "start_url": "https://spring.example",
        "secret_name": "SPRING_TOKEN",
        "calls_per_second": "10",
        "calls_at_once": "10",
        "opens_first": "oldest",
        "fuse_percent": "10",
        "_continue": "1",
        **fields,
    }
    return {name: value for name, value in told.items() if value is not None}


def form_of(**fields: Any) -> ModelForm[Provider]:
    kept = {"slug": "spring", **filled_in(**fields)}

    def field_of(field: models.Field[Any, Any], **how: Any) -> Any:
        return field.formfield(**(how | ({"assume_scheme": "https"} if isinstance(field, models.URLField) else {})))

    form = modelform_factory(Provider, ProviderForm, fields="__all__", formfield_callback=field_of)
    return form({name: value for name, value in kept.items() if name != "_continue"})


def errors_of(answer: Any) -> dict[str, list[str]]:
    if not answer.context:
        return {}
    return {name: list(words) for name, words in answer.context["adminform"].form.errors.items()}


@pytest.fixture
def spring() -> Provider:
    told = {name: value for name, value in filled_in().items() if name != "_continue"}
    return make_provider("spring", **told)


def make_known(provider: Provider) -> ProviderAccount:
    account: ProviderAccount = ProviderAccount.objects.create(
        user=make_user(), provider=provider, must_be_active=True, remote_id="r1", seen="active", seen_at=NOW
    )
    return account


@pytest.mark.parametrize(
    ("told", "errors"),
    [
        ({}, set()),
        ({"base_url": "http://10.0.0.5:8080/scim/v2"}, set()),
        ({"base_url": "http://localhost:8001/v2"}, set()),
        ({"base_url": "http://scim.spring.example/v2"}, {"base_url"}),
        ({"base_url": "http://8.8.8.8/v2"}, {"base_url"}),
        ({"base_url": "https://169.254.169.254/v2"}, {"base_url"}),
        ({"base_url": "https://me:secret@spring.example/v2"}, {"base_url"}),
        ({"base_url": "https://spring.example/v2?tenant=1"}, {"base_url"}),
        ({"base_url": "ftp://spring.example/v2"}, {"base_url"}),
        ({"start_url": "https://spring.example/start?from=library#here"}, set()),
        ({"start_url": "javascript:alert(1)"}, {"start_url"}),
        ({"start_url": "ftp://spring.example"}, {"start_url"}),
        ({"start_url": "http://spring.example"}, {"start_url"}),
        ({"secret_name": "lower"}, {"secret_name"}),
        ({"secret_name": "SECRET_KEY"}, {"secret_name"}),
        ({"webhook_secret_name": "SPRING_HOOK"}, set()),
        ({"webhook_secret_name": "DATABASE_URL"}, {"webhook_secret_name"}),
        ({"webhook_secret_name": "SPRING_TOKEN"}, {"webhook_secret_name"}),
        ({"kind": "psychic"}, {"kind"}),
        ({"calls_per_second": "0"}, {"calls_per_second"}),
        ({"calls_per_second": "1001"}, {"calls_per_second"}),
        ({"calls_at_once": "101"}, {"calls_at_once"}),
        ({"fuse_percent": "0"}, {"fuse_percent"}),
        ({"opens_first": "richest"}, {"opens_first"}),
    ],
)
def test_settings_are_checked(settings: Any, told: dict[str, str], errors: set[str]) -> None:
    settings.ALLOW_PRIVATE_ADDRESSES = False
    assert set(form_of(**told).errors) == errors


def test_settings_with_an_error_are_not_saved(ops: Client) -> None:
    answer = ops.post(f"{LIST}add/", filled_in(slug="spring", secret_name="SECRET_KEY"))
    assert errors_of(answer) == {"secret_name": ["This is a secret of the portal itself. It may not be sent anywhere."]}
    assert (Provider.objects.count(), Event.objects.count()) == (0, 0)


def test_address_without_encryption_where_private_networks_are_allowed(settings: Any) -> None:
    settings.ALLOW_PRIVATE_ADDRESSES = True
    assert form_of(base_url="http://scim.inside.example/v2").errors == {}


def test_address_that_was_accepted_before_stands_in_nobodys_way(ops: Client, spring: Provider, settings: Any) -> None:
    settings.ALLOW_PRIVATE_ADDRESSES = False
    Provider.objects.update(base_url="http://scim.spring.example/v2")
    answer = ops.post(page_of(spring), filled_in(base_url="http://scim.spring.example/v2", fuse_percent="20"))
    assert errors_of(answer) == {}
    spring.refresh_from_db()
    assert spring.fuse_percent == 20


def test_change_is_on_record_with_the_names_of_what_was_changed(ops: Client, spring: Provider) -> None:
    ops.post(page_of(spring), filled_in(calls_per_second="50", calls_at_once="20", webhook_secret_name="SPRING_HOOK"))
    event = Event.objects.get()
    assert (event.kind, event.provider_id, event.actor_id is None) == ("provider_changed", spring.pk, False)
    assert event.note.words == "calls_at_once, calls_per_second, webhook_secret_name"
    told = words_of(ops.get(page_of(spring)))
    assert "calls it allows at once, calls it allows per second, name of the secret of its notices" in told
    assert "50" not in event.note.words


def test_new_provider_is_on_record_and_what_was_not_changed_is_not(ops: Client) -> None:
    ops.post(f"{LIST}add/", filled_in(slug="spring"))
    provider = Provider.objects.get()
    event = Event.objects.get()
    assert (event.kind, event.provider_id, hasattr(event, "note")) == ("provider_changed", provider.pk, False)
    ops.post(page_of(provider), filled_in())
    assert Event.objects.count() == 1


def test_only_what_was_changed_is_written(ops: Client, spring: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two operators at once: the second has not seen what the first wrote."""
    save = provider_checks.save

    def after_another(*args: Any, **kwargs: Any) -> None:
        Provider.objects.update(fuse_percent=33)
        save(*args, **kwargs)

    monkeypatch.setattr(provider_checks, "save", after_another)
    ops.post(page_of(spring), filled_in(calls_per_second="50"))
    spring.refresh_from_db()
    assert (spring.calls_per_second, spring.fuse_percent) == (50, 33)


@pytest.mark.parametrize(
    ("told", "errors"),
    [
        ({"base_url": "https://other.example/v2"}, {"base_url"}),
        ({"base_url": "https://other.example/v2", "moved": "on"}, set()),
        ({"base_url": "https://scim.spring.example/v2/"}, set()),
        ({"kind": "moodle"}, {"kind"}),
        ({"kind": "moodle", "moved": "on"}, {"kind"}),
        ({"kind": "moodle", "base_url": "https://other.example", "moved": "on"}, {"kind"}),
        ({"start_url": "https://other.example"}, set()),
    ],
)
def test_platform_stays_the_same_where_accounts_are_known(
    ops: Client, spring: Provider, told: dict[str, str], errors: set[str]
) -> None:
    make_known(spring)
    before = Provider.objects.values().get()
    answer = ops.post(page_of(spring), filled_in(**told))
    assert set(errors_of(answer)) == errors
    assert (Provider.objects.values().get() == before) == bool(errors)
    assert Event.objects.count() == (0 if errors else 1)
    for words in errors_of(answer).values():
        assert words[0].startswith("Accounts are known at this platform, and their ids hold nowhere else.")


def test_platform_is_free_where_no_account_is_known(ops: Client, spring: Provider) -> None:
    ProviderAccount.objects.create(user=make_user(), provider=spring, must_be_active=True, due_at=NOW)
    assert "same platform" not in words_of(ops.get(page_of(spring)))
    assert errors_of(ops.post(page_of(spring), filled_in(kind="moodle", base_url="https://other.example"))) == {}
    assert Provider.objects.get().kind == "moodle"


def test_operation_itself_keeps_the_platform(spring: Provider) -> None:
    """Whatever the form has seen: an account may be known since."""
    make_known(spring)
    oz = make_staff("oz@example.test", StaffRole.Role.OPERATOR)
    spring.base_url = "https://other.example/v2"
    with pytest.raises(provider_checks.Refused):
        provider_checks.save(spring, by=oz, now=NOW, fields=["base_url"])
    spring.kind = "moodle"
    with pytest.raises(provider_checks.Refused):
        provider_checks.save(spring, by=oz, now=NOW, fields=["kind"], moved=True)
    assert Event.objects.count() == 0


def test_operation_itself_asks_who_does_it(spring: Provider) -> None:
    for someone in (make_coordinator(), make_staff("au@example.test", StaffRole.Role.AUDITOR)):
        with pytest.raises(provider_checks.Refused):
            provider_checks.save(spring, by=someone, now=NOW, fields=["name"])
    assert Event.objects.count() == 0


@pytest.mark.parametrize("role", [StaffRole.Role.COORDINATOR, StaffRole.Role.AUDITOR])
def test_others_see_the_settings_and_cannot_change_them(spring: Provider, role: str) -> None:
    make_known(spring)
    client = sign_in(make_staff("x@example.test", role))
    page = client.get(page_of(spring))
    assert "https://scim.spring.example/v2" in words_of(page)
    assert not page.context["adminform"].form.fields
    assert client.post(page_of(spring), filled_in(calls_per_second="999")).status_code == 403
    assert client.post(f"{LIST}add/", filled_in(slug="x")).status_code == 403
    spring.refresh_from_db()
    assert (spring.calls_per_second, Event.objects.count()) == (10, 0)


def test_secret_is_there_or_missing_and_never_shown(
    ops: Client, spring: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPRING_TOKEN", VALUE)
    Provider.objects.update(webhook_secret_name="SPRING_HOOK")
    for client in (ops, sign_in(make_coordinator())):
        page = client.get(page_of(spring))
        assert "SPRING_TOKEN: the secret is there, SPRING_HOOK: the secret is missing" in words_of(page)
        assert VALUE not in page.content.decode()


def test_provider_keeps_its_short_name_and_is_not_deleted(ops: Client, spring: Provider) -> None:
    ops.post(page_of(spring), filled_in(slug="other", name="Spring 2"))
    assert ops.post(f"{LIST}{spring.pk}/delete/", {"post": "yes"}).status_code == 403
    assert list(Provider.objects.values_list("slug", "name")) == [("spring", "Spring 2")]
