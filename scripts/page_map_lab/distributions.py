"""The few distributions that intervals are made of.

They come from scipy.special, which takes a part of the time of scipy.stats to be imported, and of the time for each number; and
only once a number is asked for, since most commands ask for none.
"""

CONFIDENCE = 0.95


def normal_quantile(share: float) -> float:
    """Of the standard normal distribution."""
    from scipy import special

    return float(special.ndtri(share))


def student_quantile(share: float, degrees: float) -> float:
    """Of Student's t distribution."""
    from scipy import special

    return float(special.stdtrit(degrees, share))


def student_share_beyond(value: float, degrees: float) -> float:
    """What part of Student's t distribution is above the value."""
    from scipy import special

    return float(special.stdtr(degrees, -value))


def chi_squared_quantile(share: float, degrees: float) -> float:
    """Of the chi-squared distribution."""
    from scipy import special

    return float(special.chdtri(degrees, 1 - share))
