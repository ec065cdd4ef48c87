"""The mass-change brake: a run that would cut off too many waits for a person."""

import math


def base_that_matters(cut_off: int, share: float) -> int | None:
    """An active base of this size or above keeps no run of `cut_off` waiting; None: there is no such size."""
    return math.ceil(cut_off / share) + 1 if share else None


def brake_holds(cut_off: int, active: int, share: float, count: int) -> bool:
    """Tell whether a run must wait for a person: more than `share` of the active base and more than `count`."""
    return cut_off > count and cut_off > share * active
