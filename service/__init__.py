"""The running program around the flows."""
