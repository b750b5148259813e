"""What holds for all tests."""

import os

from hypothesis import settings

# A shared machine may stop for a second; in CI the same examples are tried every time.
settings.register_profile("suite", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("suite")

# What a test runs is run: one that stores results says so.
os.environ["NODEGRAPH_STORE"] = "off"
