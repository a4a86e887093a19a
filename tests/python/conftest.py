# SPDX-License-Identifier: MIT
"""The tests use the package's files where they lie, and the library that was built."""

import os
import pathlib

ROOT = pathlib.Path(__file__).parents[2]
BUILD = pathlib.Path(os.environ.get("ADABELIEF_PROGRAM", ROOT / "build" / "adabelief")).parent
os.environ.setdefault("ADABELIEF_LIBRARY", str(BUILD / "libadabelief_c.so"))
