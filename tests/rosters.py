"""An institution's list of valid cards, through the import as a librarian's file would come."""

from datetime import date
from io import BytesIO

from libraries import rosters
from libraries.models import Institution
from tests.factories import NOW


def put_on_roster(institution: Institution, number: str, born: str, *, valid_until: date) -> None:
    """The list has this one card from now on."""
    lines = f"number;birth_date;valid_until\n{number};{born};{valid_until}\n"
    rosters.import_roster(institution=institution, source=BytesIO(lines.encode()), by=None, now=NOW)
