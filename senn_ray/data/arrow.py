"""Arrow's functions on columns, which are made at run time and unknown to type checkers."""

from typing import Any

import pyarrow.compute

pc: Any = pyarrow.compute
