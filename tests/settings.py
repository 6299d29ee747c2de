"""The settings as the type checker loads them: without any environment, with servers that are never asked."""

import os

from tests.environment import use_test_environment

use_test_environment()
os.environ.setdefault("DATABASE_URL", "postgres://nobody@127.0.0.1:9/nothing")
os.environ.setdefault("REDIS_URL", "redis://127.0.0.1:9/0")

from portal.settings import *  # noqa: E402, F403 - the environment has to be there first
