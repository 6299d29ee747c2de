"""The product's own settings, with one address more: the bare post that the claim is measured against."""

from portal.settings import *  # noqa: F403 - all of them

ROOT_URLCONF = "benchmarks.bare"
