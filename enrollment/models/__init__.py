from enrollment.models.cap_change import CapChange, ShareChange
from enrollment.models.enrollment import Enrollment
from enrollment.models.event import Event, EventNote
from enrollment.models.letter import Letter
from enrollment.models.provider_account import ProviderAccount
from enrollment.models.queue_stretch import QueueStretch
from enrollment.models.seat_pool import SeatPool, Share

__all__ = [
    "CapChange",
    "Enrollment",
    "Event",
    "EventNote",
    "Letter",
    "ProviderAccount",
    "QueueStretch",
    "SeatPool",
    "Share",
    "ShareChange",
]
