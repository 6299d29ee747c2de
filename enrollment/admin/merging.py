"""Two accounts of one person: find the other one, see both side by side and what merging does, then do it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from enrollment import merging, seats, tasks
from enrollment.admin.base import Text, ask
from enrollment.admin.moving import MovingAdmin
from enrollment.merge_forms import FindOtherForm, MergeForm
from enrollment.merge_plan import Plan
from enrollment.models import Enrollment
from enrollment.reports.side_by_side import sides_of
from libraries import scoping
from libraries.models import User
from libraries.scoped_admin import Role, person


class MergingAdmin(MovingAdmin):
    def has_merge_permission(self, request: HttpRequest) -> bool:
        return scoping.may(person(request), Role.COORDINATOR)

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.merge_view)
        return [path("<int:pk>/merge/", view, name="enrollment_enrollment_merge"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        extra = {"may_merge": self.has_merge_permission(request), **(extra_context or {})}
        return super().change_view(request, object_id, form_url, extra)

    def merge_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Everything after the first step is posted: which accounts are meant never stands in an address."""
        if not self.has_merge_permission(request):
            raise PermissionDenied
        row = self.get_queryset(request).select_related("user").filter(pk=pk).first()
        if row is None:
            raise Http404
        if "other_id" in request.POST:
            return self._compare(request, row, _other(request))
        return self._find(request, row)

    def _find(self, request: HttpRequest, row: Enrollment) -> HttpResponse:
        form = FindOtherForm(request.POST if "apply" in request.POST else None)
        if form.is_valid():
            other = form.cleaned_data["other"]
            keep_id = other.pk if row.user_id == other.pk else merging.suggest(user_ids=[row.user_id, other.pk])
            try:
                return self._show(request, row, other, _preview(request, (row.user_id, other.pk), keep_id))
            except merging.CannotMerge as error:
                form.add_error("other", error.obstacle.label)
        back = reverse("admin:enrollment_enrollment_change", args=[row.pk])
        return self._page(request, row, form, title=_("Same person as…"), button=_("Compare the two"), back=back)

    def _compare(self, request: HttpRequest, row: Enrollment, other: User) -> HttpResponse:
        """Done as it was shown; after another choice, or when something has changed, shown once more."""
        form = MergeForm(request.POST, people=[row.user, other])
        ids, overtaken = (row.user_id, other.pk), False
        try:
            plan = _preview(request, ids, form.data.get("keep", ""))
            if "look" not in request.POST and form.is_valid():
                return self._done(request, ids, form)
        except merging.Overtaken as error:
            plan, overtaken = error.plan, True
        except merging.CannotMerge as error:
            return _nothing_done(request, error.obstacle.label)
        except (OperationalError, seats.ChangedMeanwhile):
            return _nothing_done(request, _("Somebody else is at work there. Try again in a minute."))
        bound = None if "look" in request.POST else form
        return self._show(request, row, other, plan, bound, overtaken=overtaken)

    def _show(
        self,
        request: HttpRequest,
        row: Enrollment,
        other: User,
        plan: Plan,
        form: MergeForm | None = None,
        *,
        overtaken: bool = False,
    ) -> HttpResponse:
        people = [row.user, other]
        told = {"keep": plan.keep.pk, "words": request.POST.get("words", "")}
        page = {"plan": plan, "other": other, "sides": sides_of(people), "overtaken": overtaken}
        form = form or MergeForm(initial=told, people=people)
        title, button = _("Are these one person?"), _("Put the two together")
        return self._page(request, row, form, title=title, button=button, **page)

    def _page(self, request: HttpRequest, row: Enrollment, form: Any, **page: Any) -> HttpResponse:
        return ask(self, request, form, row=row, template="admin/merge.html", **page)

    def _done(self, request: HttpRequest, ids: tuple[int, int], form: MergeForm) -> HttpResponse:
        keep_id = form.cleaned_data["keep"]
        plan = merging.merge(
            keep_user_id=keep_id,
            other_user_id=_second(ids, keep_id),
            words=form.cleaned_data["words"],
            by=person(request),
            now=timezone.now(),
            expected=request.POST.get("expected", ""),
        )
        tasks.ring()
        messages.success(request, _("The two accounts are one now."))
        row = plan.fates[0].stays if plan.fates else None
        if row is None:
            return HttpResponseRedirect(reverse("admin:enrollment_enrollment_changelist"))
        return HttpResponseRedirect(reverse("admin:enrollment_enrollment_change", args=[row.pk]))


def _other(request: HttpRequest) -> User:
    found = request.POST["other_id"]
    user = User.objects.filter(pk=found).first() if found.isdecimal() and len(found) <= 18 else None
    if user is None:
        raise Http404
    return user


def _nothing_done(request: HttpRequest, why: Text) -> HttpResponse:
    messages.error(request, str(why))
    return HttpResponseRedirect(request.path)


def _second(ids: tuple[int, int], keep_id: int) -> int:
    return ids[1] if keep_id == ids[0] else ids[0]


def _preview(request: HttpRequest, ids: tuple[int, int], keep: int | str) -> Plan:
    """Whom to keep may be forged: then the older claim is suggested, as at first."""
    keep_id = next((pk for pk in ids if str(pk) == str(keep)), None) or merging.suggest(user_ids=ids)
    return merging.preview(
        keep_user_id=keep_id, other_user_id=_second(ids, keep_id), by=person(request), now=timezone.now()
    )
