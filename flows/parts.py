"""The parts that there are, by the name that the configuration and `--flows` give them."""

from collections.abc import Callable

from flows.cells import CellsPart
from flows.emergence import EmergencePart
from flows.fields import FieldsPart
from flows.hierarchy import HierarchyPart
from flows.part import Given, Part
from flows.population import PopulationPart
from flows.safety import SafetyPart
from flows.settings.root import Settings

__all__ = ["PARTS"]

PARTS: dict[str, Callable[[Settings, Given], Part]] = {
    "cells": CellsPart.of,
    "population": PopulationPart.of,
    "hierarchy": HierarchyPart.of,
    "fields": FieldsPart.of,
    "emergence": EmergencePart.of,
    "safety": SafetyPart.of,
}
"""By name, in the order in which they are attached."""
