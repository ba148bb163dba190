"""The invariants that are watched, and what each allows."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr

from flows.settings.types import SECOND_US, Name, PositiveDuration, Section
from kernels.schema import MAX_LEVEL
from kernels.watch import RULES, Bounds

__all__ = ["Invariant", "Safety"]

Invariant = Literal["energy_conservation", "information_bounds", "causal_consistency", "privacy_preservation"]
_Positive = Annotated[float, Field(gt=0)]


def _check_key(key: SecretStr) -> SecretStr:
    if not re.fullmatch("[0-9a-fA-F]{32}", key.get_secret_value()):
        raise ValueError("must be 32 hexadecimal digits")
    return key


class EnergyConservation(Section):
    """How much the energy of an agent may change: by `power` a second, and by `slack` because of how it is measured."""

    power: _Positive = 500
    slack: Annotated[float, Field(ge=0)] = 2_000


class InformationBounds(Section):
    """The range of each column, and over how many levels the agents of a region may be mixed."""

    ranges: dict[Name, tuple[float, float]] = Field(default_factory=dict)
    levels: Annotated[int, Field(ge=1, le=MAX_LEVEL + 1)] = MAX_LEVEL + 1
    region_cells: Annotated[int, Field(ge=1)] = 512
    every: PositiveDuration = 60 * SECOND_US


class CausalConsistency(Section):
    """How long a cause may be waited for, and how long before its effect it may lie: both in event time."""

    wait: PositiveDuration = 10 * SECOND_US
    reach: PositiveDuration = 600 * SECOND_US


class PrivacyPreservation(Section):
    """Cells of fewer than `k` distinct agents: reported, or with `enforce` not published.

    `small_cells` says whether they are suppressed, or first merged with the small ones of their block of 2 x 2 x 2.
    `key` (32 hexadecimal digits) makes the ids of agents in topics of results pseudonyms.
    """

    k: Annotated[int, Field(ge=1, le=1_000)] = 5
    enforce: bool = False
    small_cells: Literal["suppress", "merge"] = "suppress"
    key: Annotated[SecretStr, AfterValidator(_check_key)] | None = None


class Safety(Section):
    """The invariants that are watched; an agent stays in quarantine until it has gone so long without a violation."""

    invariants: tuple[Invariant, ...] = (
        "energy_conservation",
        "information_bounds",
        "causal_consistency",
        "privacy_preservation",
    )
    quarantine: PositiveDuration = 60 * SECOND_US
    silence: PositiveDuration = 3600 * SECOND_US
    energy_conservation: EnergyConservation = Field(default_factory=EnergyConservation)
    information_bounds: InformationBounds = Field(default_factory=InformationBounds)
    causal_consistency: CausalConsistency = Field(default_factory=CausalConsistency)
    privacy_preservation: PrivacyPreservation = Field(default_factory=PrivacyPreservation)

    def watches(self, invariant: Invariant) -> bool:
        """Whether an invariant is among those that are watched."""
        return invariant in self.invariants

    def to_bounds(self) -> Bounds:
        """Return the kernel's bounds of what an agent does from event to event."""
        return Bounds(
            rules=frozenset(number for number, rule in enumerate(RULES) if rule in self.invariants),
            power=self.energy_conservation.power,
            slack=self.energy_conservation.slack,
            ranges=self.information_bounds.ranges,
            quarantine_us=self.quarantine,
            silence_us=self.silence,
        )
