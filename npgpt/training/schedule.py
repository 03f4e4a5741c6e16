"""Learning rate: a linear warm-up, then down along half a cosine, or along a straight line."""
import math


def learning_rate(step: int, steps: int, peak: float, floor: float, warmup: int) -> float:
    """The learning rate of step 0 .. steps - 1 (Loshchilov and Hutter 2017, eq. 5, with a warm-up).

        step < warmup:  peak * (step + 1) / (warmup + 1)
        after that:     floor + (peak - floor) * (1 + cos(pi * progress)) / 2
    """
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    progress = (step - warmup) / max(steps - warmup, 1)
    return floor + (peak - floor) * (1 + math.cos(math.pi * progress)) / 2


def linear_learning_rate(step: int, steps: int, peak: float, floor: float, warmup: int) -> float:
    """The learning rate of step 0 .. steps - 1, as in the code of Radford et al. (2018).

        min(step / warmup, 1) * (floor + (peak - floor) * (1 - step / steps))

    So it is 0 in the first step of a warm-up.
    """
    rate = floor + (peak - floor) * (1 - step / steps)
    return rate * step / warmup if step < warmup else rate


SCHEDULES = {"cosine": learning_rate, "linear": linear_learning_rate}
