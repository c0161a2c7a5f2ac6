"""`python -m scfx` is the `scfx` command."""

import sys

from scfx.cli import main

sys.exit(main())
