"""What AURA is measured by: each module holds rows of one kind; `python -m benchmarks` runs them."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as `aura` does, before numpy loads
