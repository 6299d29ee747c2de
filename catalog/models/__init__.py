from catalog.models.course import Area, Course
from catalog.models.line import CallTally, ProviderLine
from catalog.models.listing import Listing
from catalog.models.programme import Programme
from catalog.models.provider import Provider
from catalog.models.tool import Tool

__all__ = ["Area", "CallTally", "Course", "Listing", "Programme", "Provider", "ProviderLine", "Tool"]
