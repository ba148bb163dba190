"""The canary: 10, 25, 50, 75, 100 %, a fault at each step, and the waits between them."""

from itertools import pairwise

import pytest

from service.degrade.canary import ATTEMPTS, SHARES, Backoff, Canary, Phase


def _canary() -> Canary:
    return Canary(Backoff(chance=lambda: 0.5))


class Clock:
    """Drives a canary second by second, with calls of which some are errors."""

    def __init__(self, canary: Canary) -> None:
        self.canary, self.now_s = canary, 0.0
        canary.lose(0.0)

    def run(self, seconds: float, *, errors: int = 0) -> list[int]:
        """Return the share after each second; `errors` of 100 calls a second fail."""
        shares = []
        for _ in range(int(seconds)):
            self.now_s += 1
            self.canary.tick(self.now_s)
            if self.canary.phase is Phase.WATCHED:
                self.canary.report(self.now_s, calls=100, errors=errors)
            shares.append(self.canary.share)
        return shares

    def until(self, share: int) -> None:
        """Go on without errors until a step begins."""
        while not (self.canary.share == share and self.canary.phase is Phase.WATCHED):
            self.run(1)
            assert self.now_s < 1000


def test_the_way_back() -> None:
    """10 % for 60 s, then 30 s a step, then all of it and well."""
    clock = Clock(_canary())
    shares = clock.run(1 + 60 + 4 * 30 + 2)
    assert [shares.count(share) for share in (10, 25, 50, 75)] == [60, 30, 30, 30]
    assert clock.canary.share == 100
    assert clock.canary.phase is Phase.WELL


@pytest.mark.parametrize("step", SHARES)
def test_a_fault_at_a_step(step: int) -> None:
    """Back by 25 points and held; the step is tried again after the wait, which doubles to its cap; at 10 % the fallback."""
    canary = _canary()
    clock = Clock(canary)
    clock.until(step)
    held = 0 if step == 10 else max(0, step - 25)
    waits = []
    for _ in range(5 if step > 25 else 4):
        clock.run(1, errors=50)
        assert (canary.share, canary.phase) == (held, Phase.WAITING)
        began_s = clock.now_s
        while canary.phase is Phase.WAITING:
            clock.now_s += 0.5
            canary.tick(clock.now_s)
        assert canary.share == step
        waits.append(clock.now_s - began_s)
    assert all(
        2 * first == pytest.approx(second, abs=1.5) or second == 60 for first, second in pairwise(waits)
    )
    clock.run(400)
    assert canary.phase is Phase.WELL


def test_below_one_per_cent_goes_on() -> None:
    """Errors of less than 1 % of the calls of a step do not stop it, 1 % does."""
    canary = _canary()
    clock = Clock(canary)
    clock.until(10)
    assert not canary.report(clock.now_s, calls=1000, errors=9)
    assert canary.report(clock.now_s, calls=0, errors=2)  # 11 of 1,100
    assert canary.share == 0


def test_nothing_judged_nothing_gained() -> None:
    """A step in which nothing was called lasts until there is something to judge."""
    canary = _canary()
    canary.lose(0)
    canary.tick(1)
    assert not canary.tick(500)
    assert canary.share == 10


def test_gives_up() -> None:
    """After five attempts in a row that failed at 10 % it stays with the fallback, whatever time passes."""
    canary, now_s = _canary(), 0.0
    canary.lose(now_s)
    for _ in range(ATTEMPTS):
        while canary.phase is Phase.WAITING:
            now_s += 1
            canary.tick(now_s)
        canary.fail(now_s)
    assert (canary.phase, canary.share) == (Phase.OPEN, 0)
    canary.lose(now_s)
    assert not canary.tick(now_s + 1e6)


def test_chance_spreads_the_waits() -> None:
    """Waits differ by at most a fifth either way, so that many do not come back together; none is above the cap."""
    least, most = Backoff(chance=lambda: 0.0), Backoff(chance=lambda: 1.0)
    pairs = [(least.next_s(), most.next_s()) for _ in range(10)]
    assert pairs[0] == pytest.approx((0.8, 1.2))
    assert max(high for _, high in pairs) == 60
