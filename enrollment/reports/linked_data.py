"""What search engines and other machines read of a course: schema.org's Course."""

from __future__ import annotations

from typing import Any

from catalog.models import Course
from enrollment.reports.offer import Offer


def course(found: Course, own: Offer | None, *, address: str, picture: str, description: str) -> dict[str, Any]:
    """Addresses are whole ones. A course that is not on offer and is not to come has no instance and no price."""
    told: dict[str, Any] = {
        "@context": "https://schema.org",
        "@type": "Course",
        "@id": address,
        "url": address,
        "name": found.title,
        "description": description,
        "image": picture,
        "inLanguage": found.language,
        "educationalLevel": str(found.get_level_display()),
        "about": found.area.name,
        "timeRequired": f"PT{found.hours}H",
        "isAccessibleForFree": True,
        "provider": {"@type": "Organization", "name": found.provider.name},
    }
    if own is not None:
        ends = {"endDate": own.last_day.isoformat()} if own.last_day else {}
        told["hasCourseInstance"] = {
            "@type": "CourseInstance",
            "courseMode": "Online",
            "courseWorkload": f"PT{found.hours}H",
            "startDate": own.since.isoformat(),
            **ends,
        }
        told["offers"] = {"@type": "Offer", "category": "Free", "price": 0, "priceCurrency": "EUR", "url": address}
        if own.is_coming:
            told["offers"]["availabilityStarts"] = own.since.isoformat()
    return told
