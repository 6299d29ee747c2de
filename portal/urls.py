from django.conf import settings
from django.conf.urls.i18n import i18n_patterns
from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views.decorators.csrf import csrf_exempt
from django.views.i18n import set_language

from enrollment.launch import addresses
from enrollment.views import lti, notices, openid, picked, scores
from enrollment.views.information import theme
from portal import health

handler400 = "portal.errors.bad_request"
handler403 = "portal.errors.permission_denied"
handler404 = "portal.errors.page_not_found"
handler429 = "portal.errors.too_many_requests"
handler500 = "portal.errors.server_error"

pages: list[URLPattern | URLResolver] = [
    path("", include("enrollment.urls")),
    # After our own: enrollment may put a page of its own at one of these addresses.
    path("accounts/", include("allauth.account.urls")),
    path("accounts/2fa/", include("allauth.mfa.urls")),
    path("admin/", admin.site.urls),
]
data: list[URLPattern | URLResolver] = []
if settings.SANDBOX:
    from portal.sandbox import urls as sandbox  # refuses to be imported where the sandbox is off

    pages += sandbox.pages
    data += sandbox.data

urlpatterns = [
    *data,
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    # No token, which would make every page its reader's: all that a forged form can do is change the language.
    path("language/", csrf_exempt(set_language), name="set_language"),
    path("theme/<slug:slug>.css", theme, name="theme"),
    path("hooks/<slug:slug>/", notices.receive, name="notices"),
    path(".well-known/openid-configuration", openid.configuration, name="openid_configuration"),
    path("openid/authorize", openid.authorize, name="openid_authorize"),
    path("openid/keys.json", openid.keys, name="openid_keys"),
    path("openid/token", openid.token, name="openid_token"),
    path("openid/userinfo", openid.userinfo, name="openid_userinfo"),
    path(addresses.AUTHORIZATION, lti.authorize, name="lti_authorize"),
    path(addresses.KEYSET, lti.keyset, name="lti_keyset"),
    path(addresses.TOKEN, scores.token, name="lti_token"),
    path(addresses.LINE_ITEM, scores.line_item, name="lti_line_item"),
    path(addresses.DEEP_LINKING_RETURN, picked.receive, name="lti_picked"),
    path(addresses.SCORES, scores.scores, name="lti_scores"),
    *i18n_patterns(*pages, prefix_default_language=False),
]
