"""The sandbox's addresses: `pages` go among the pages in three languages, `data` is for scripts and has no language."""

from django.urls import path

from portal.sandbox import library_page, views
from portal.sandbox.only import refuse_outside_the_sandbox

refuse_outside_the_sandbox()

pages = [
    path("sandbox/", views.index, name="sandbox"),
    path("sandbox/mail/", views.mailbox, name="sandbox_mail"),
    path("sandbox/mail/<slug:key>/", views.mail_as_html, name="sandbox_mail_html"),
    path("sandbox/fault/", library_page.switch_fault, name="sandbox_fault"),
    path("sandbox/platform/", views.platform, name="sandbox_platform"),
]
data = [
    path("sandbox/mail.json", views.mail_json, name="sandbox_mail_json"),
    path("sandbox/codes.json", views.codes_json, name="sandbox_codes_json"),
]
urlpatterns = [*data, *pages]
