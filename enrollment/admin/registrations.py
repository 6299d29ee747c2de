"""How providers are reached: for operators to fill in, for coordinators and auditors to see, for some to test."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import models
from django.db.models import QuerySet
from django.http import Http404, HttpRequest
from django.template.response import TemplateResponse

from enrollment import provider_checks, tool_checks
from libraries.models import User
from libraries.scoped_admin import CENTRAL, Role, ScopedAdmin, person


class RegistrationAdmin(ScopedAdmin):
    """Rows that belong to no institution; on their own pages too with the rows that the list names."""

    institution_path = ""
    viewers = CENTRAL
    changers = adders = (Role.OPERATOR,)
    list_select_related: ClassVar[tuple[str, ...]]
    # Without Django's link to each address: most are for programs, and show a person an error.
    formfield_overrides: ClassVar[dict[Any, Any]] = {
        models.URLField: {"assume_scheme": "https", "widget": forms.URLInput(attrs={"class": "vURLField"})}
    }

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related(*self.list_select_related)

    def asked_by_who_may(self, request: HttpRequest, pk: int, may: Callable[[User], bool]) -> Any:
        if not may(person(request)):
            raise PermissionDenied
        row = self.get_queryset(request).filter(pk=pk).first()
        if row is None:
            raise Http404
        return row

    def try_out(
        self,
        request: HttpRequest,
        attempt: Callable[[], dict[str, object]],
        *,
        refused: type[provider_checks.Refused | tool_checks.Refused],
        template: str,
        **context: Any,
    ) -> TemplateResponse:
        """What a test came to, once its button is pressed. `refused` is raised, with its obstacle, where there was a
        test a moment ago."""
        told, status = {}, HTTPStatus.OK
        if request.method == "POST":
            try:
                told = attempt()
            except refused as error:
                messages.error(request, error.obstacle.label)
                status = HTTPStatus.TOO_MANY_REQUESTS
        context = {**self.admin_site.each_context(request), "opts": self.opts, **context, **told}
        return TemplateResponse(request, template, context, status=status)
