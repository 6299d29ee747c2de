from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class Event(models.Model):
    """One line of the timeline: append-only, held by a trigger; plain ids and codes, so that it outlives its rows."""

    class Kind(models.TextChoices):
        APPLIED = "applied", _("Applied")
        DESK_SIGN_UP = "desk_sign_up", _("Signed up at the desk of the library")
        ADDRESS_CORRECTED = "address_corrected", _("Email address corrected at the desk")
        ADDRESS_PROVED = "address_proved", _("Email address proved at the desk")
        SEAT_GIVEN = "seat_given", _("Place given")
        SEAT_HELD = "seat_held", _("Place held while the card is checked")
        QUEUED = "queued", _("Joined the queue")
        CARD_CONFIRMED = "card_confirmed", _("Card confirmed")
        CARD_REFUSED = "card_refused", _("Card refused")
        CARD_UNDISPUTED = "card_undisputed", _("Nobody else claims the card any more")
        CARD_EXPIRED = "card_expired", _("Card expired")
        CARD_EXTENDED = "card_extended", _("Card valid for longer")
        CARD_CHANGED = "card_changed", _("Another card carries the application")
        NEW_CARD = "new_card", _("Another card given")
        NEW_CARD_DROPPED = "new_card_dropped", _("The other card was taken back")
        NEW_CARD_REFUSED = "new_card_refused", _("The other card was not accepted")
        CARD_UNANSWERED = "card_unanswered", _("The library's system did not answer")
        CARD_ANSWERED = "card_answered", _("The library's system answers again")
        CARD_DISPUTED = "card_disputed", _("Card also claimed in another application")
        HOLD_LAPSED = "hold_lapsed", _("Held place released")
        PRIORITY_GIVEN = "priority_given", _("Priority given")
        PRIORITY_TAKEN = "priority_taken", _("Priority taken back")
        ACCOUNT_OPENED = "account_opened", _("Account opened by the provider")
        ACCOUNT_CLOSED = "account_closed", _("Account closed by the provider")
        ACCOUNT_STUCK = "account_stuck", _("Opening or closing the account got stuck")
        ACCOUNT_RETRIED = "account_retried", _("Asked to try the account again")
        ACCOUNT_GIVEN_UP = "account_given_up", _("Account given up, place freed")
        ACCOUNT_BY_HAND = "account_by_hand", _("Account marked as done by hand")
        ACCOUNT_TOLD = "account_told", _("The provider told something about the account")
        ACCOUNT_ERASED = "account_erased", _("Account erased by the provider")
        ERASURE_ASKED = "erasure_asked", _("Asked to erase a person's data")
        ERASED = "erased", _("A person's data erased")  # the reason says where
        PROVIDER_CHANGED = "provider_changed", _("Settings of the provider changed")
        PROVIDER_TESTED = "provider_tested", _("Connection to the provider tested")
        LISTS_COMPARED = "lists_compared", _("Compared with the provider's list")
        LIST_DOUBTED = "list_doubted", _("The provider's list is not trusted")
        LIST_TRUSTED = "list_trusted", _("Decided to trust the provider's list")
        DIFFERENCE_REPAIRED = "difference_repaired", _("Decided to repair a difference from the provider")
        DIFFERENCE_LEFT = "difference_left", _("Difference from the provider left as it is")
        STARTED = "started", _("Went to the courses for the first time")
        COURSE_STARTED = "course_started", _("Started a course for the first time")
        COURSE_FINISHED = "course_finished", _("Finished a course")
        COURSES_PLANNED = "courses_planned", _("Courses on offer planned")
        COURSES_IMPORTED = "courses_imported", _("List of courses imported")
        TOOL_CHANGED = "tool_changed", _("Registration of the provider's tool changed")
        TOOL_TESTED = "tool_tested", _("Registration of the provider's tool tested")
        KEY_CHANGED = "key_changed", _("A new key signs the starts of courses")
        MOVED = "moved", _("Counted at another institution")
        MERGED = "merged", _("Put together with another application of the same person")
        SEAT_RENEWED = "seat_renewed", _("Place renewed")
        SEAT_ENDED = "seat_ended", _("Place ended")
        WITHDRAWN = "withdrawn", _("Application ended")
        CAP_CHANGED = "cap_changed", _("Number of places changed")
        SHARE_CHANGED = "share_changed", _("Share changed")
        CHANGE_PLANNED = "change_planned", _("Change of places planned")
        CHANGE_WITHDRAWN = "change_withdrawn", _("Planned change of places withdrawn")
        PROGRAMME_CLOSES = "programme_closes", _("End of the programme decided")
        PROGRAMME_REOPENED = "programme_reopened", _("End of the programme withdrawn")
        RECOUNTED = "recounted", _("Places counted again")
        LETTER_RETRIED = "letter_retried", _("Asked to try the letter again")
        LETTER_DROPPED = "letter_dropped", _("Decided not to send the letter")
        ROSTER_IMPORTED = "roster_imported", _("List of cards imported")
        ROSTER_STOPPED = "roster_stopped", _("List of cards not taken: too many cards would go")
        ROSTER_ALLOWED = "roster_allowed", _("List of cards to be taken after all")
        RECHECKS_STOPPED = "rechecks_stopped", _("Check of proved cards stopped: unusually many were not good")
        RECHECKS_RESUMED = "rechecks_resumed", _("Check of proved cards goes on")
        SYSTEM_CHANGED = "system_changed", _("Settings of the library system changed")
        SYSTEM_TESTED = "system_tested", _("Library system tested")
        CARD_LOOKED_UP = "card_looked_up", _("Library system asked about the card")

    at = models.DateTimeField(_("when"))
    kind = models.CharField(_("what"), max_length=20, choices=Kind)
    reason = models.CharField(_("why"), max_length=20, blank=True)
    # Plain numbers, not foreign keys: an event may not stop an erasure, nor be changed by one.
    actor_id = models.BigIntegerField(_("who"), null=True)
    pool_id = models.BigIntegerField(null=True)
    institution_id = models.BigIntegerField(null=True)
    enrollment_id = models.BigIntegerField(null=True)
    card_id = models.BigIntegerField(null=True)
    provider_id = models.BigIntegerField(null=True)
    old_value = models.BigIntegerField(_("from"), null=True)
    new_value = models.BigIntegerField(_("to"), null=True)
    # How the application stood in the queue then: merging may change it later.
    priority = models.PositiveSmallIntegerField(null=True)
    applied_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        ordering = ["at", "id"]
        indexes = [
            models.Index(fields=["enrollment_id", "at"], name="event_of_enrollment"),
            models.Index(fields=["institution_id", "at"], name="event_of_institution"),
            # What moved a queue (reports.prospect).
            models.Index(
                fields=["pool_id", "at"],
                condition=Q(
                    kind__in=[
                        *("seat_given", "seat_held", "seat_ended", "withdrawn", "hold_lapsed"),
                        *("priority_given", "priority_taken", "card_confirmed", "card_undisputed"),
                    ]
                ),
                name="event_of_queue",
            ),
            # What was done about a provider itself (reports.provider_page).
            models.Index(
                fields=["provider_id", "at"],
                condition=Q(
                    kind__in=[
                        *("provider_changed", "provider_tested", "tool_changed", "tool_tested", "courses_imported"),
                        *("lists_compared", "list_doubted", "list_trusted"),
                    ]
                ),
                name="event_of_provider",
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"


class EventNote(models.Model):
    """Words someone typed with an event; may be erased, the event stays."""

    event = models.OneToOneField("enrollment.Event", on_delete=models.CASCADE, related_name="note")
    words = models.TextField(_("words"), max_length=500)

    class Meta:
        verbose_name = _("note")
        verbose_name_plural = _("notes")

    def __str__(self) -> str:
        return f"#{self.pk}"
