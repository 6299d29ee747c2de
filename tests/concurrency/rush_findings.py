"""What can be found after a rush."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    LOST = "lost"  # somebody was told something that the database does not know
    DOUBLED = "doubled"  # what may be once is there twice, or was done twice
    OVER_CAP = "over_cap"  # more seats than the cap or a ceiling allows, at any moment
    PASSED_OVER = "passed_over"  # somebody who may have a seat waits while another gets one, or while one is free
    STUCK = "stuck"  # something broke, or did not end


@dataclass(frozen=True)
class Finding:
    kind: Kind
    what: str
