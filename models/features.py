"""What the two models read, in words and units."""

from typing import NamedTuple

__all__ = ["CELL", "EVENT", "Input"]


class Input(NamedTuple):
    """One feature of a model.

    Attributes
    ----------
    name
        The column.
    words, unit
        For people.
    least_spread
        Deviations count in units of at least this: about the resolution of what is reported.
    context
        It says what kind of row this is; its value is never a reason for an alert.
    """

    name: str
    words: str
    unit: str
    least_spread: float
    context: bool = False


EVENT = (
    Input("speed_mps", "the reported speed", "m/s", 1),
    Input("climb_mps", "the reported climb", "m/s", 0.3),
    Input("z_m", "the altitude", "m", 8),
    Input("energy", "the specific energy", "J/kg", 100),
    Input("still_s", "the time at the same position", "s", 1),
    Input("implied_speed_mps", "the speed implied by the positions", "m/s", 1),
    Input("implied_climb_mps", "the climb implied by the positions", "m/s", 0.3),
    Input("implied_accel_mps2", "the acceleration", "m/s2", 0.05),
    Input("turn_rate_radps", "the rate of turn", "rad/s", 0.001),
    Input("energy_rate", "the change of energy", "W/kg", 10),
    Input("speed_gap_mps", "the gap between reported and implied speed", "m/s", 1),
    Input("climb_gap_mps", "the gap between reported and implied climb", "m/s", 0.3),
    Input("cross_track_mps", "the speed across the heading", "m/s", 1),
)
"""Of an event: its columns and `kernels.motion.MOTION_FEATURES`."""

CELL = (
    Input("window_s", "the length of the window", "s", 60, context=True),
    Input("count", "the number of reports", "", 1),
    Input("agents", "the number of aircraft", "", 1),
    Input("events_per_agent", "the number of reports per aircraft", "", 1),
    Input("speed_mps_mean", "the mean speed", "m/s", 1),
    Input("speed_mps_std", "the spread of speeds", "m/s", 1),
    Input("climb_mps_mean", "the mean climb", "m/s", 0.3),
    Input("climb_mps_std", "the spread of climbs", "m/s", 0.3),
    Input("energy_mean", "the mean specific energy", "J/kg", 100),
    Input("energy_std", "the spread of energies", "J/kg", 100),
)
"""Of a (window, cell): its published statistics and `kernels.cell_features`."""
