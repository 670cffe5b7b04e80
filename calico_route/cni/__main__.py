"""`python -m calico_route.cni`, as a runtime runs a plug-in."""

import sys

from .plugin import main

if __name__ == "__main__":
    sys.exit(main())
