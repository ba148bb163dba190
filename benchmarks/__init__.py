"""What AURA is measured by: each module holds rows of one kind; `python -m benchmarks` runs them."""
