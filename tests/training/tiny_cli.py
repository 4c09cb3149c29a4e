"""The command line with the tiny network in its registry, for processes that a test starts; see test_torchrun."""

import sys

from core.cli.main import main
from core.models.registry import ARCHITECTURES
from tests.training.tiny import TINY_NETWORK

if __name__ == "__main__":
    ARCHITECTURES[TINY_NETWORK.name] = TINY_NETWORK
    sys.exit(main())
