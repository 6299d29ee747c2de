"""The settings of a web server in the tests: static files are not collected for it."""

from portal.settings import *  # noqa: F403 - all of them

STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}  # noqa: F405
WHITENOISE_AUTOREFRESH = WHITENOISE_USE_FINDERS = True
