"""State that goes on tick by tick of event time, and can go back where it was not final.

    inputs of a tick        gather until it closes
    a tick closes           its inputs change the state, and what it says goes out
    inputs for a closed one (of a partition that was idle) the state goes back to the last final tick and comes forward
                            again; that tick and those after it are said again
    a tick is final         its inputs are forgotten

Ticks without inputs are left out. While nobody is idle each closed tick is final, and there is one state.
"""

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from kernels.lateness import START_US

__all__ = ["TickLog"]

S = TypeVar("S")
I = TypeVar("I")  # noqa: E741 (inputs)
O = TypeVar("O")  # noqa: E741 (output)


class TickLog(Generic[S, I, O]):
    """The states and the inputs of the ticks that are not final.

    Parameters
    ----------
    state
        Before the first tick. A step makes another one of it and leaves it as it is.
    step
        From the state, the tick and its inputs to the next state, and what gives the output if it is asked for.
    """

    def __init__(self, state: S, step: Callable[[S, int, I], tuple[S, Callable[[], O]]]) -> None:
        self.base = self.head = state
        self._step = step
        self.inputs: dict[int, I] = {}
        self.open = self.final = START_US  # numbers of ticks: all below are closed, all below are final
        self._again = self.open

    def touch(self, tick: int) -> bool:
        """Note that a tick has new inputs; return False if it is final, and they come too late."""
        self._again = min(self._again, tick)
        return tick >= self.final

    def advance(self, open_tick: int, final_tick: int) -> list[tuple[int, O]]:
        """Close the ticks below `open_tick`, make those below `final_tick` final; return ticks and what they say."""
        first, again = self.open, min(self._again, self.open)
        if again < self.open:
            self.head, first = self.base, self.final
        found = []
        for tick in self._between(first, open_tick):
            self.head, output = self._step(self.head, tick, self.inputs[tick])
            if tick >= again:
                found.append((tick, output()))
        self.open = self._again = max(self.open, open_tick)
        self._settle(min(final_tick, self.open))
        return found

    def snapshot(self) -> list[int]:
        """Return how far it has come; `base` and `inputs` are the rest of what must be kept."""
        return [self.open, self.final]

    def restore(self, come: list[int], base: S, inputs: dict[int, I]) -> None:
        """Take what `snapshot` returned, the base and the inputs."""
        self.base = self.head = base
        self.inputs = inputs
        self.open, self.final = come
        self._again = self.open
        for tick in self._between(self.final, self.open):
            self.head, _ = self._step(self.head, tick, self.inputs[tick])

    def _settle(self, final_tick: int) -> None:
        if final_tick <= self.final:
            return
        if final_tick == self.open:
            self.base = self.head
        else:
            for tick in self._between(self.final, final_tick):
                self.base, _ = self._step(self.base, tick, self.inputs[tick])
        self.final = final_tick
        self.inputs = {tick: given for tick, given in self.inputs.items() if tick >= final_tick}

    def _between(self, first: int, end: int) -> Iterator[int]:
        return iter(sorted(tick for tick in self.inputs if first <= tick < end))
