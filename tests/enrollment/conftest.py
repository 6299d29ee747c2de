from tests.accounts import ada, halle
from tests.platform_server import platform

__all__ = ["ada", "halle", "platform"]
