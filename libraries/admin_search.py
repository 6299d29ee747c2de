"""Search in the workplace's lists without writing a name or a card number into an address."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.admin.views.main import ChangeList
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateparse import parse_datetime

# A posted form with this field is a search.
WORDS = "look_for"
KEPT_FOR = timedelta(minutes=15)


class SessionSearchList(ChangeList):
    """What was searched for comes from the session; an address cannot say it."""

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        self.query = searched(request, self.model)
        return super().get_queryset(request, exclude_parameters)


def remember(request: HttpRequest, model: type[Model]) -> None:
    words = request.POST[WORDS].strip()[:100]
    until = (timezone.now() + KEPT_FOR).isoformat()
    request.session[_key(model)] = [words, until] if words else None


def searched(request: HttpRequest, model: type[Model]) -> str:
    words, until = request.session.get(_key(model)) or ("", "")
    end = parse_datetime(until) if until else None
    return str(words) if end and end > timezone.now() else ""


def _key(model: type[Model]) -> str:
    return f"search {model._meta.label_lower}"
