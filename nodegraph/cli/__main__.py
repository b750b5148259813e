"""Lets `python -m nodegraph.cli` stand for the `nodegraph` command."""

import sys

from . import main

sys.exit(main())
