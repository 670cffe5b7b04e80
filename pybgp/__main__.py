"""`python -m pybgp`."""

import sys

from pybgp.app.cli import main

if __name__ == "__main__":
    sys.exit(main())
