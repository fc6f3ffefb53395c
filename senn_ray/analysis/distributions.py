"""Distributions that intervals come from; the only file that imports scipy."""

from scipy import stats

CONFIDENCE = 0.95


def clopper_pearson(hits: int, trials: int) -> tuple[float, float]:
    """Return the exact 95 % interval of a hit probability.

    It also holds, a little wide, when the trials stopped at a number of hits: its low
    end is the one of that (negative binomial) rule, its high end is above.

    Args:
        hits: Trials that hit.
        trials: All trials, at least one.
    """
    tail = (1 - CONFIDENCE) / 2
    misses = trials - hits
    low = float(stats.beta.ppf(tail, hits, misses + 1)) if hits else 0.0
    high = float(stats.beta.isf(tail, hits + 1, misses)) if misses else 1.0
    return low, high


def student(level: float, freedom: int) -> float:
    """Return a quantile of Student's t.

    Args:
        level: Probability below it.
        freedom: Degrees of freedom.
    """
    return float(stats.t.ppf(level, freedom))


def fisher_tail(value: float, above: int, below: int) -> float:
    """Return the probability of a greater value of Fisher's F.

    Args:
        value: The ratio of mean squares.
        above: Degrees of freedom of the numerator.
        below: Degrees of freedom of the denominator.
    """
    return float(stats.f.sf(value, above, below))


def binomial_quantiles(
    levels: tuple[float, float], trials: int, probability: float
) -> list[int]:
    """Return the least numbers of hits whose cumulative probability is at least so much.

    Args:
        levels: The cumulative probabilities.
        trials: All trials.
        probability: Of a hit.
    """
    return [int(count) for count in stats.binom.ppf(levels, trials, probability)]


def ranks(values: list[float]) -> list[float]:
    """Return the rank of each value; equal values share the mean of their ranks.

    Args:
        values: Numbers.
    """
    return [float(rank) for rank in stats.rankdata(values)]
