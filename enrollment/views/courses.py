from __future__ import annotations

from collections.abc import Iterable, Sequence

from django import forms
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from catalog.models import Course
from enrollment.models import Enrollment
from enrollment.reports import offer
from enrollment.reports.course_start import start_of
from enrollment.reports.offer import Offer, Wish

Choices = Iterable[tuple[str, object]]


class WishForm(forms.Form):
    """Only draws the fields: what was asked is read by `_wish`, which leaves out what makes no sense."""

    words = forms.CharField(label=_("Search in the titles"), required=False, max_length=100)
    area = forms.ChoiceField(label=_("Subject"), required=False)
    level = forms.ChoiceField(label=_("Level"), required=False)
    language = forms.ChoiceField(label=_("Language"), required=False)
    length = forms.ChoiceField(label=_("Length"), required=False)

    def __init__(self, offers: Sequence[Offer], wish: Wish) -> None:
        super().__init__(initial=vars(wish), label_suffix="")
        self.fields["words"].widget.input_type = "search"
        for name, choices in _choices(offers).items():
            self.fields[name].choices = [("", _("All")), *choices]  # type: ignore[attr-defined]


def courses(request: HttpRequest) -> HttpResponse:
    offers = offer.on_offer(timezone.localdate())
    wish = _wish(request.GET, offers)
    found = [each for each in offers if wish.fits(each)]
    context = {"form": WishForm(offers, wish), "wish": wish, "found": found, "offers": offers}
    return render(request, "enrollment/courses.html", context)


def course(request: HttpRequest, slug: str) -> HttpResponse:
    found = get_object_or_404(Course.objects.select_related("area", "provider__tool"), slug=slug)
    offers = offer.on_offer(timezone.localdate())
    own = next((each for each in offers if each.course.pk == found.pk), None)
    alike = [each for each in offers if each.course.area_id == found.area_id and each is not own]
    start = start_of(request.user.pk, found, now=timezone.now())
    context = {
        "course": found,
        "offer": own,
        "alike": alike[:4],
        "enrollment": _enrollment(request, own),
        "start": start,
    }
    return render(request, "enrollment/course.html", context)


def _enrollment(request: HttpRequest, own: Offer | None) -> Enrollment | None:
    """The visitor's own claim on a place with which this course can be followed."""
    if own is None or not request.user.is_authenticated:
        return None
    mine = Enrollment.objects.open().filter(user=request.user, pool__programme__in=own.programmes)
    return mine.order_by("-seated_at", "pk").first()


def _wish(asked: QueryDict, offers: Sequence[Offer]) -> Wish:
    known = {name: {value for value, _label in choices} for name, choices in _choices(offers).items()}
    chosen = {name: str(asked[name]) for name in known if asked.get(name) in known[name]}
    return Wish(words=asked.get("words", "").strip()[:100], **chosen)


def _choices(offers: Sequence[Offer]) -> dict[str, list[tuple[str, object]]]:
    """Only what would find something."""
    levels, languages = ({getattr(each.course, name) for each in offers} for name in ("level", "language"))
    return {
        "area": [(area.slug, area.name) for area, _count in offer.areas_of(offers)],
        "level": [(value, label) for value, label in offer.SHORT_LEVELS.items() if value in levels],
        "language": [(value, label) for value, label in _LANGUAGES if value in languages],
        "length": list(_LENGTHS),
    }


_LANGUAGES = (("nl", _("Dutch")), ("fr", _("French")), ("en", _("English")))
_LENGTHS = (("short", _("up to 4 hours")), ("medium", _("5 to 10 hours")), ("long", _("more than 10 hours")))
