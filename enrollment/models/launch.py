from __future__ import annotations

from datetime import datetime, timedelta
from uuid import uuid4

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

# From the page here, by way of the tool, and back here.
LASTS = timedelta(minutes=5)


class LaunchQuerySet(models.QuerySet["Launch"]):
    def unanswered(self, now: datetime) -> LaunchQuerySet:
        return self.filter(answered_at=None, expires_at__gt=now)


class Launch(models.Model):
    """Somebody on the way from here to a tool and back, to be answered with one message. The tool is given its `id`
    (`lti_message_hint`), which cannot be guessed and says nothing; it is good for one answer, for whoever began."""

    class Message(models.TextChoices):
        """LTI 1.3 core, 5.3.1 (`message_type`); LTI Deep Linking 2.0, 4.4."""

        COURSE = "LtiResourceLinkRequest", _("a course is started")
        PICKING = "LtiDeepLinkingRequest", _("courses are picked")

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    message = models.CharField(max_length=30, choices=Message, default=Message.COURSE)
    tool = models.ForeignKey("catalog.Tool", on_delete=models.CASCADE, related_name="launches")
    user = models.ForeignKey("libraries.User", on_delete=models.CASCADE, related_name="launches")
    # By what the tool knows the user: `login_hint`, and `sub` of the token.
    subject = models.UUIDField()
    # Of the page it began on.
    language = models.CharField(max_length=2)
    # Of the start of a course, and of nothing else.
    enrollment = models.ForeignKey(
        "enrollment.Enrollment", on_delete=models.CASCADE, null=True, related_name="launches"
    )
    course = models.ForeignKey("catalog.Course", on_delete=models.CASCADE, null=True, related_name="launches")
    # Of what the tool is told (`Programme.Tells`), what the member had read when it began: never is more told.
    shown = models.CharField(max_length=15, blank=True, default="", db_default="", editable=False)
    made_at = models.DateTimeField(_("made"))
    expires_at = models.DateTimeField(_("expires"))
    answered_at = models.DateTimeField(_("answered"), null=True)

    objects = LaunchQuerySet.as_manager()

    class Meta:
        verbose_name = _("start on its way")
        verbose_name_plural = _("starts on their way")
        constraints = [
            models.CheckConstraint(
                condition=Q(message="LtiResourceLinkRequest", enrollment__isnull=False, course__isnull=False)
                | Q(message="LtiDeepLinkingRequest", enrollment=None, course=None),
                name="launch_of_a_course_or_to_pick",
            ),
            models.CheckConstraint(
                condition=Q(shown__in=["", "pseudonym", "name", "name_and_mail"]), name="launch_shown_known"
            ),
        ]
        indexes = [models.Index(fields=["made_at"], name="launch_made")]

    def __str__(self) -> str:
        return f"#{self.pk}"
