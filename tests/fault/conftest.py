"""Hands the fixtures of tests/net to the tests of this folder."""

import os
import sys

import pytest

sys.path.insert(1, os.path.join(os.path.dirname(__file__), "..", "net"))
pytest.register_assert_rewrite("lab", "peers", "daemon", "firewall",
                               "fixtures")

# pylint: disable=wildcard-import,unused-wildcard-import,wrong-import-position
from fixtures import *  # noqa: E402,F401,F403
