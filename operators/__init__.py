"""Stages of a flow: bookkeeping around the kernels."""
