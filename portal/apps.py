from importlib import import_module

from django.apps import AppConfig


class PortalConfig(AppConfig):
    name = "portal"

    def ready(self) -> None:
        """Every process that may ring the workers has to know where the broker is: the web server too."""
        import_module("portal.celery")
        import_module("portal.checks")
