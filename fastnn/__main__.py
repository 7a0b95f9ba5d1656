"""python -m fastnn: the command line."""

import sys

from fastnn.cli.main import main

sys.exit(main())
