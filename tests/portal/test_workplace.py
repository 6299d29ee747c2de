"""Nobody works here without a second factor used in this session (promise 18), at any address."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.contrib import admin
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from enrollment.models import Enrollment
from libraries.models import StaffRole, User
from libraries.scoped_admin import ScopedAdmin
from tests.factories import make_coordinator, make_librarian, make_library, make_member, make_staff, make_user
from tests.workplace import Scene, give_factor, make_scene, sign_in

pytestmark = pytest.mark.django_db

# Whatever they are called in an address, our rows have small numbers.
ARGUMENT = re.compile(r"<[^>]*>|\(\?P<[^>]*>[^)]*\)")


def addresses(patterns: list[Any] | None = None, before: str = "/admin/") -> Iterator[str]:
    """Every address of the workplace, with 1 for what varies in it."""
    for pattern in admin.site.urls[0] if patterns is None else patterns:
        route = str(pattern.pattern).removeprefix("^").removesuffix("$")
        address = before + ARGUMENT.sub("enrollment" if "app_label" in route else "1", route)
        if isinstance(pattern, URLResolver):
            yield from addresses(pattern.url_patterns, address)
        elif isinstance(pattern, URLPattern):
            yield address


ADDRESSES = sorted(set(addresses()))


def land(client: Client, address: str, method: str = "get") -> Any:
    return getattr(client, method)(address, follow=True)


def is_blocked(response: Any) -> bool:
    return [template.name for template in response.templates][:1] == ["admin/second_factor.html"]


def test_addresses_are_those_of_the_workplace() -> None:
    assert len(ADDRESSES) > 60
    assert {"/admin/", "/admin/jsi18n/", "/admin/password_change/", "/admin/enrollment/"} <= set(ADDRESSES)
    assert "/admin/autocomplete/" not in ADDRESSES
    assert get_resolver().resolve("/admin/").url_name == "index"


@pytest.mark.parametrize("method", ["get", "post"])
def test_staff_without_a_second_factor_get_only_the_page_that_says_so(method: str) -> None:
    make_scene()
    root = User.objects.create_superuser("root@example.test")
    client = sign_in(root, factor_used=False)
    for address in ADDRESSES:
        response = land(client, address, method)
        if address == "/admin/logout/":  # refused like the others: the page has a button of its own
            response = land(client, "/admin/")
        assert is_blocked(response), address
    html = response.content.decode()
    assert reverse("mfa_activate_totp") in html
    assert 'aria-label="Most used"' not in html


def test_second_factor_that_was_not_used_in_this_session_opens_nothing() -> None:
    lin = make_librarian()
    give_factor(lin)
    client = sign_in(lin, factor_used=False)
    response = land(client, "/admin/enrollment/enrollment/?todo=check")
    assert is_blocked(response)
    again = f"{reverse('mfa_reauthenticate')}?next=/admin/enrollment/enrollment/%3Ftodo%3Dcheck"
    assert again in response.content.decode()


def test_records_of_another_persons_session_open_nothing() -> None:
    """Whoever signs in after somebody else in the same browser brings no factor along."""
    client = sign_in(make_librarian())
    mo = make_coordinator()
    give_factor(mo)
    session = dict(client.session.items())
    client.force_login(mo)
    changed = client.session
    changed.update({key: value for key, value in session.items() if key.startswith("account_")})
    changed.save()
    assert is_blocked(land(client, "/admin/"))


def test_factor_taken_away_closes_the_session() -> None:
    lin = make_librarian()
    client = sign_in(lin)
    assert client.get("/admin/").status_code == 200
    Authenticator.objects.filter(user=lin).delete()
    assert is_blocked(land(client, "/admin/"))


def test_member_is_refused_everywhere() -> None:
    client = sign_in(make_user())
    for address in ADDRESSES:
        response = land(client, address)
        assert response.status_code == 403, address
        assert not is_blocked(response)


def test_visitor_is_sent_to_sign_in_and_back() -> None:
    response = Client().get("/admin/enrollment/enrollment/", follow=True)
    assert response.redirect_chain[-1][0].startswith(reverse("account_login"))
    assert "next=" in response.redirect_chain[-1][0]


def test_inactive_staff_are_out() -> None:
    lin = make_librarian()
    client = sign_in(lin)
    User.objects.filter(pk=lin.pk).update(is_active=False)
    assert client.get("/admin/").status_code == 302


@pytest.mark.parametrize("target", ["https://evil.test/admin/", "//evil.test/", "/my/", "/admin/login/?next=/admin/"])
def test_login_page_leads_nowhere_else(target: str) -> None:
    client = sign_in(make_librarian())
    assert client.get("/admin/login/", {"next": target}).headers["Location"] == "/admin/"


def test_every_admin_knows_about_scope() -> None:
    for model_admin in admin.site._registry.values():
        assert isinstance(model_admin, ScopedAdmin)
        assert isinstance(model_admin.institution_path, str)


def test_pages_have_nothing_inline_and_a_strict_policy() -> None:
    make_scene()
    client = sign_in(User.objects.create_superuser("root@example.test"))
    for address in ADDRESSES:
        response = client.get(address)
        html = response.content.decode()
        assert re.findall(r"<style|<script(?![^>]* src=)[^>]*>|<[^>]* (?:style|on[a-z]+)=", html) == [], address
        assert "unsafe" not in response.headers["Content-Security-Policy"], address


def test_nothing_can_be_deleted_by_hand() -> None:
    make_scene()
    client = sign_in(User.objects.create_superuser("root@example.test"))
    for address in [each for each in ADDRESSES if each.endswith("/delete/")]:
        assert client.post(address, {"post": "yes"}).status_code in (302, 403), address


@pytest.fixture
def scene() -> Scene:
    return make_scene()


def test_first_page_asks_the_same_for_few_and_for_many(
    scene: Scene, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    client = sign_in(make_coordinator())
    client.get("/admin/")
    with django_assert_num_queries(15):
        client.get("/admin/")
    for number in range(30):
        make_member(f"more{number}@example.test", programme=scene.programme, library=make_library())
    with django_assert_num_queries(15):
        client.get("/admin/")


def test_first_page_tells_what_waits(scene: Scene) -> None:
    work = sign_in(make_coordinator()).get("/admin/").context["work"]
    assert [work.to_check.count, work.disputed.count, work.lapsing.count, work.accounts.count] == [2, 2, 0, 1]
    assert work.to_check.first == scene.ada.applied_at
    own = sign_in(make_librarian(scene.own)).get("/admin/").context
    assert [own["work"].to_check.count, own["work"].disputed.count, own["work"].accounts] == [1, 1, None]
    assert [row.name for row in own["programmes"][0].institutions] == ["Antwerpen"]


def test_every_link_of_the_first_page_leads_somewhere(scene: Scene) -> None:
    Enrollment.objects.filter(state="held").update(hold_until=timezone.now())
    for user in (make_coordinator(), make_librarian(scene.own), User.objects.create_superuser("root@example.test")):
        client = sign_in(user)
        links = set(re.findall(r'href="(/admin/[^"]*)"', client.get("/admin/").content.decode()))
        assert "/admin/enrollment/enrollment/?todo=lapsing" in links
        assert {link: client.get(link).status_code for link in links} == dict.fromkeys(links, 200)


@pytest.mark.parametrize("role", [StaffRole.Role.AUDITOR, StaffRole.Role.OPERATOR])
def test_others_see_all_institutions(scene: Scene, role: str) -> None:
    context = sign_in(make_staff("ann@example.test", role)).get("/admin/").context
    assert [row.name for row in context["programmes"][0].institutions] == ["Antwerpen", "Kanariestad"]
