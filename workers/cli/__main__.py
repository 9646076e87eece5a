"""`python -m workers.cli`: the same program as `scenarist`, for child processes that must use this interpreter."""

import sys

from workers.cli import main

sys.exit(main())
