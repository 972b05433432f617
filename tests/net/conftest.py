"""Hands the shared fixtures to the tests of this folder."""

import pytest

pytest.register_assert_rewrite("lab", "peers", "daemon", "firewall",
                               "fixtures")

# pylint: disable=wildcard-import,unused-wildcard-import,wrong-import-position
from fixtures import *  # noqa: E402,F401,F403
