from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class CourseRunQuerySet(models.QuerySet["CourseRun"]):
    def started(self) -> CourseRunQuerySet:
        return self.filter(started_at__isnull=False)

    def finished(self) -> CourseRunQuerySet:
        return self.filter(completed_at__isnull=False)

    def with_code(self, code: str) -> CourseRunQuerySet:
        return self.filter(Q(certificate_code=code) | Q(other_codes__contains=[code]))

    def saved(self) -> CourseRunQuerySet:
        """For later: what is started is not any more."""
        return self.filter(saved_at__isnull=False, started_at=None)


class CourseRun(models.Model):
    """One member in one course: saved for later, started, how far, finished. One for each person and course, whichever
    seats it was followed with."""

    class Activity(models.TextChoices):
        """AGS 2.0, 3.4.7 (`activityProgress`)."""

        INITIALIZED = "Initialized", _("not begun")
        STARTED = "Started", _("begun")
        IN_PROGRESS = "InProgress", _("under way")
        SUBMITTED = "Submitted", _("handed in")
        COMPLETED = "Completed", _("finished")

    user = models.ForeignKey(
        "libraries.User", on_delete=models.PROTECT, related_name="course_runs", verbose_name=_("member")
    )
    course = models.ForeignKey(
        "catalog.Course", on_delete=models.PROTECT, related_name="runs", verbose_name=_("course")
    )
    # The seat it was last started with; None as long as it was only saved for later.
    enrollment = models.ForeignKey(
        "enrollment.Enrollment", on_delete=models.PROTECT, null=True, related_name="course_runs"
    )
    saved_at = models.DateTimeField(_("saved for later"), null=True, blank=True)
    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    last_started_at = models.DateTimeField(_("last started"), null=True, blank=True)
    # Of what the provider is told (`Programme.Tells`), what the member had read at the last start; empty: nothing.
    shown = models.CharField(max_length=15, blank=True, default="", db_default="", editable=False)
    # A letter is wished for on this day; None when none is, or once it is owed.
    remind_on = models.DateField(_("reminder on"), null=True, blank=True)
    # As the tool last told it: from 0 to 1; None as long as it told nothing that can be measured.
    progress = models.FloatField(_("progress"), null=True, blank=True)
    activity = models.CharField(_("activity"), max_length=15, choices=Activity, default=Activity.INITIALIZED)
    # The tool's own moment of what it last told: what is older is refused.
    told_at = models.DateTimeField(_("told"), null=True, blank=True)
    completed_at = models.DateTimeField(_("finished"), null=True, blank=True)
    # Of the certificate of participation; None as long as the course is not finished.
    certificate_code = models.CharField(max_length=40, unique=True, null=True, editable=False)  # noqa: DJ001 - unique
    # Of certificates of the same course that another account of the same person had: whoever holds one on paper.
    other_codes = ArrayField(models.CharField(max_length=40), null=True, editable=False)

    objects = CourseRunQuerySet.as_manager()

    class Meta:
        verbose_name = _("course of a member")
        verbose_name_plural = _("courses of members")
        constraints = [
            models.UniqueConstraint(fields=["user", "course"], name="course_run_once_per_person"),
            models.CheckConstraint(
                condition=Q(progress=None) | Q(progress__gte=0, progress__lte=1), name="course_run_progress"
            ),
            models.CheckConstraint(
                condition=Q(shown__in=["", "pseudonym", "name", "name_and_mail"]), name="course_run_shown_known"
            ),
            models.CheckConstraint(
                condition=Q(started_at=None, last_started_at=None, enrollment=None)
                | Q(started_at__isnull=False, last_started_at__isnull=False, enrollment__isnull=False),
                name="course_run_started_with_a_seat",
            ),
            models.CheckConstraint(
                condition=Q(completed_at=None, certificate_code=None)
                | Q(completed_at__isnull=False, certificate_code__isnull=False, started_at__isnull=False),
                name="course_run_finished_has_certificate",
            ),
        ]
        indexes = [
            models.Index(fields=["remind_on"], condition=Q(remind_on__isnull=False), name="course_run_remind_on"),
            models.Index(fields=["course", "started_at"], name="course_run_of_course"),
            GinIndex(fields=["other_codes"], name="course_run_other_codes"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"
