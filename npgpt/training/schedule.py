"""Learning rate: a linear warm-up, then down along a straight line, along half a cosine, or as one over a square root."""
import math


def linear_learning_rate(step: int, steps: int, peak: float, floor: float, warmup: int) -> float:
    """The learning rate of step 0 .. steps - 1, as in Radford et al. 2018, section 4.1.

        step < warmup:  peak * (step + 1) / (warmup + 1)
        after that:     floor + (peak - floor) * (1 - progress),    progress = (step - warmup) / (steps - warmup)
    """
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    return floor + (peak - floor) * (1 - progress(step, steps, warmup))


def cosine_learning_rate(step: int, steps: int, peak: float, floor: float, warmup: int) -> float:
    """The same with half a cosine in the place of the line (Loshchilov and Hutter 2017, eq. 5):

        floor + (peak - floor) * (1 + cos(pi * progress)) / 2
    """
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    return floor + (peak - floor) * (1 + math.cos(math.pi * progress(step, steps, warmup))) / 2


def progress(step: int, steps: int, warmup: int) -> float:
    """The part of the steps after the warm-up that have been made."""
    return (step - warmup) / max(steps - warmup, 1)


def inverse_sqrt_learning_rate(step: int, steps: int, peak: float, floor: float, warmup: int) -> float:
    """The learning rate of step 0 .. steps - 1 (Vaswani et al. 2017, eq. 3): with t = step + 1 and
    peak = (n_embd warmup)^-0.5 it is

        n_embd^-0.5 min(t^-0.5, t warmup^-1.5)  =  peak min((warmup / t)^0.5, t / warmup)

    but no less than the floor after the warm-up. A warm-up of 0 is taken as 1.
    """
    warmup = max(warmup, 1)
    return peak * (step + 1) / warmup if step < warmup else max(peak * math.sqrt(warmup / (step + 1)), floor)


INVERSE_SQRT = "inverse-sqrt"
SCHEDULES = {"linear": linear_learning_rate, "cosine": cosine_learning_rate, INVERSE_SQRT: inverse_sqrt_learning_rate}
