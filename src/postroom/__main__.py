"""`python -m postroom` is the `postroom` program."""

import sys

from postroom.server.cli import main

sys.exit(main())
