"""Wiring: each flow reads like the list of its stages."""
