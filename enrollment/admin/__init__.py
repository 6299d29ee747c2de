"""The workplace's lists and forms. Catalog's are here too, because scope is a matter of libraries."""

from enrollment.admin import (
    accounts,
    applications,
    catalog,
    events,
    letters,
    notices,
    pools,
    providers,
    rechecks,
    reconciliations,
    roster_sources,
    rosters,
    shares,
    sign_on,
    systems,
    tools,
)

__all__ = [
    "accounts",
    "applications",
    "catalog",
    "events",
    "letters",
    "notices",
    "pools",
    "providers",
    "rechecks",
    "reconciliations",
    "roster_sources",
    "rosters",
    "shares",
    "sign_on",
    "systems",
    "tools",
]
