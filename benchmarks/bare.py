"""The least that a post of a signed-in person can cost in Django: session, CSRF, all middleware, and one INSERT; and
the least that a page can cost."""

from django.contrib.auth import SESSION_KEY
from django.db import connection
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path

from portal import urls

TABLE = "CREATE TABLE IF NOT EXISTS benchmark_bare (id bigserial PRIMARY KEY, user_id bigint NOT NULL, at timestamptz)"


def bare(request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO benchmark_bare (user_id, at) VALUES (%s, now())", [request.session[SESSION_KEY]])
    return HttpResponseRedirect("/join/done/")


def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok")


urlpatterns = [path("bare/", bare), path("bare/page/", page), *urls.urlpatterns]
handler404, handler500 = urls.handler404, urls.handler500
