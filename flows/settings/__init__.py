"""The configuration: one TOML file, checked as a whole, each value of known origin.

types       sections, names, durations
input, analysis, stages, system, population, fields, operations    the tables
layers      files, `AURA_*` variables and options, one over the other
checks      what contradicts
problems    what is wrong, in words
root        the whole, and how it is loaded
"""

from flows.settings.root import Loaded, Settings, load, parse

__all__ = ["Loaded", "Settings", "load", "parse"]
