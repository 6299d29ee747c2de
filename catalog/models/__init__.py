from catalog.models.course import Area, Course
from catalog.models.line import CallTally, ProviderLine
from catalog.models.listing import Listing
from catalog.models.programme import Programme
from catalog.models.provider import Provider
from catalog.models.search import CatalogChange, CourseDocument, SearchWord, Synonym
from catalog.models.tool import Tool

__all__ = [
    "Area",
    "CallTally",
    "CatalogChange",
    "Course",
    "CourseDocument",
    "Listing",
    "Programme",
    "Provider",
    "ProviderLine",
    "SearchWord",
    "Synonym",
    "Tool",
]
