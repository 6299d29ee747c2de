from tests.platform_server import platform

__all__ = ["platform"]
