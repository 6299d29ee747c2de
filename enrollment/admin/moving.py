"""Another card for an application, with the card and the person at the desk."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from enrollment import moving, tasks
from enrollment.admin.base import ask, tell_when_busy
from enrollment.admin.deciding import shown
from enrollment.admin.prioritizing import PrioritizingAdmin
from enrollment.admin_forms import NewCardForm
from enrollment.models import Enrollment
from libraries.scoped_admin import person


class MovingAdmin(PrioritizingAdmin):
    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.card_view)
        return [path("<int:pk>/card/", view, name="enrollment_enrollment_card"), *super().get_urls()]

    @tell_when_busy
    def card_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        if not self.has_decide_permission(request):
            raise PermissionDenied
        row = self.get_queryset(request).select_related("user", "card").filter(pk=pk).first()
        if row is None:
            raise Http404
        form = NewCardForm(request.POST or None, user=person(request), pool_id=row.pool_id)
        back = reverse("admin:enrollment_enrollment_change", args=[pk])
        if form.is_valid() and _change(request, row, form):
            return HttpResponseRedirect(back)
        title, button = _("Another card"), _("I have seen this card: it is theirs")
        return ask(
            self,
            request,
            form,
            title=title,
            button=button,
            back=back,
            rows=shown(request, self.get_queryset(request).filter(pk=pk)),
        )


def _change(request: HttpRequest, row: Enrollment, form: NewCardForm) -> bool:
    told = moving.NewCard(library=form.cleaned_data["library"], number=form.cleaned_data["number"])
    try:
        moving.change_card_by_staff(enrollment_id=row.pk, told=told, by=person(request), now=timezone.now())
    except moving.CannotMove as error:
        form.add_error(None, str(error.obstacle.label))
        return False
    tasks.ring()
    messages.success(request, _("The other card carries this application now."))
    return True
