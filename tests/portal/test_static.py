"""The files behind the pages: each is found under a name made from its content, and the first view stays small."""

import gzip
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.staticfiles.storage import ManifestStaticFilesStorage
from django.core.management import call_command
from pytest_django import Settings

STATIC = Path(settings.BASE_DIR) / "static"
FIRST_VIEW = (
    "css/site.css",
    "js/site.js",
    "img/icons.svg",
    "img/mark.svg",
    "fonts/atkinson-hyperlegible-next-latin-wght-normal.woff2",
)


def test_stylesheet_and_script_stay_small() -> None:
    assert (STATIC / "css/site.css").stat().st_size <= 30 * 1024
    assert (STATIC / "js/site.js").stat().st_size <= 4 * 1024


def test_first_view_stays_small_over_the_wire() -> None:
    sizes = [len(gzip.compress((STATIC / name).read_bytes())) for name in FIRST_VIEW]
    assert sum(sizes) < 80 * 1024


def test_every_icon_in_use_is_in_the_sprite() -> None:
    known = set(re.findall(r'<symbol id="([^"]+)"', (STATIC / "img/icons.svg").read_text(encoding="utf-8")))
    templates = (Path(settings.BASE_DIR) / "templates").rglob("*.html")
    used = {name for page in templates for name in re.findall(r'{% icon "([^"]+)"', page.read_text(encoding="utf-8"))}
    assert used - known == set()


@pytest.mark.slow
def test_static_files_are_collected_under_names_of_their_content(settings: Settings, tmp_path: Path) -> None:
    """Fails when a stylesheet names a file that is not there."""
    settings.STATIC_ROOT = tmp_path
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"}
    }
    call_command("collectstatic", verbosity=0, interactive=False)
    names = ManifestStaticFilesStorage(location=tmp_path, base_url="/static/").hashed_files
    assert {name for name in FIRST_VIEW if (tmp_path / names[name]).exists()} == set(FIRST_VIEW)
