from __future__ import annotations

from datetime import datetime

from django.contrib import admin
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from enrollment import letters, stuck
from enrollment.admin.base import link_to_application
from enrollment.admin.stuck import Remedy, StuckAdmin, StuckFilter
from enrollment.models import Letter
from enrollment.reports import timeline
from libraries.models import User
from libraries.scoped_admin import Role


def _retried(count: int) -> str:
    text = ngettext("%(count)d letter is tried again now.", "%(count)d letters are tried again now.", count)
    return text % {"count": count}


def _dropped(count: int) -> str:
    text = ngettext("%(count)d letter is not sent any more.", "%(count)d letters are not sent any more.", count)
    return text % {"count": count}


def _try_again(pk: int, *, by: User, now: datetime) -> stuck.Obstacle | None:
    return None if letters.try_again(pk, by=by, now=now) else stuck.Obstacle.NOT_STUCK


def _give_up(pk: int, *, by: User, now: datetime) -> stuck.Obstacle | None:
    return None if letters.give_up(pk, by=by, now=now) else stuck.Obstacle.NOT_STUCK


@admin.register(Letter)
class LetterAdmin(StuckAdmin):
    """Which letter, owed since when and sent when; what it says, and to whom, is told by the application.

    Letters to staff are about no application: only those who see all institutions see them here.
    """

    institution_path = "enrollment__share__institution"
    healers = (Role.LIBRARIAN, Role.COORDINATOR, Role.OPERATOR)
    remedies = {
        "try_again": Remedy(_("Try again"), "refresh-cw", _try_again, _retried),
        "give_up": Remedy(_("Do not send it"), "x", _give_up, _dropped),
    }
    list_display = ("kind", "about", "owed_at", "sent_at", "dropped_at", "attempts", "stuck_at", "went_wrong")
    list_select_related = ("pool__programme", "institution", "provider")
    list_filter = (StuckFilter, "kind")
    ordering = ("-owed_at", "-pk")
    fields = ("kind", "about", "owed_at", "sent_at", "dropped_at", "due_at", "attempts", "stuck_at", "went_wrong")
    readonly_fields = ("about", "went_wrong")

    @admin.display(description=_("about"), ordering="enrollment_id")
    def about(self, row: Letter) -> str:
        """The application; of a letter to staff, the programme, the institution or the provider."""
        staffs = row.pool.programme if row.pool else row.institution or row.provider
        return link_to_application(row.enrollment_id) or (staffs.name if staffs else "")

    @admin.display(description=_("what went wrong"), ordering="trouble")
    def went_wrong(self, row: Letter) -> str:
        return timeline.letter_trouble(row.trouble)
