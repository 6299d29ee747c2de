from libraries.models.address_code import AddressCode
from libraries.models.attempt import Attempt
from libraries.models.card import Card
from libraries.models.doubt import Doubt
from libraries.models.institution import Institution, Library
from libraries.models.library_system import LibrarySystem, Rechecking
from libraries.models.roster import Roster, RosterEntry
from libraries.models.roster_source import RosterSource
from libraries.models.staff_role import StaffRole
from libraries.models.user import User

__all__ = [
    "AddressCode",
    "Attempt",
    "Card",
    "Doubt",
    "Institution",
    "Library",
    "LibrarySystem",
    "Rechecking",
    "Roster",
    "RosterEntry",
    "RosterSource",
    "StaffRole",
    "User",
]
