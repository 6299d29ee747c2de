from enrollment.models.access_token import AccessToken
from enrollment.models.cap_change import CapChange, ShareChange
from enrollment.models.course_run import CourseRun
from enrollment.models.enrollment import Enrollment
from enrollment.models.erasure import Erasure
from enrollment.models.event import Event, EventNote
from enrollment.models.launch import Launch
from enrollment.models.letter import Letter
from enrollment.models.picking import Picking
from enrollment.models.provider_account import ProviderAccount
from enrollment.models.provider_notice import ProviderNotice
from enrollment.models.queue_stretch import QueueStretch
from enrollment.models.reconciliation import Difference, ListedAccount, Reconciliation
from enrollment.models.seat_pool import SeatPool, Share
from enrollment.models.sign_on_client import SignOnClient
from enrollment.models.signing_key import SigningKey
from enrollment.models.used_token import UsedToken

__all__ = [
    "AccessToken",
    "CapChange",
    "CourseRun",
    "Difference",
    "Enrollment",
    "Erasure",
    "Event",
    "EventNote",
    "Launch",
    "Letter",
    "ListedAccount",
    "Picking",
    "ProviderAccount",
    "ProviderNotice",
    "QueueStretch",
    "Reconciliation",
    "SeatPool",
    "Share",
    "ShareChange",
    "SignOnClient",
    "SigningKey",
    "UsedToken",
]
