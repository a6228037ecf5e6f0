"""Exit codes of the lab, and the exceptions that carry one of them together with one clear line."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What the exit status of every verb means."""

    OK = 0
    REGRESSION = 1  # a regression beyond the threshold, a claim that does not hold or was not reproduced, or a bar of the self-test
    USAGE = 2  # wrong usage, unreadable or malformed input, or nothing matched
    NOISE_GATE = 3
    COUNTERS_UNAVAILABLE = 4
    CHECK_FAILED = 5  # a launch failed its check, crashed, or had to be ended
    NOT_COMPARABLE = 6
    INTERRUPTED = 130  # as the shell reports Ctrl-C


class LabError(Exception):
    """A failure the user can act on: the message is one line that names the thing and the way out."""

    exit_code = ExitCode.USAGE


class UsageError(LabError):
    """Wrong usage, unreadable or malformed input, or nothing matched."""


class NoiseGateError(LabError):
    """The machine is too noisy to measure on, and the finding was not waived."""

    exit_code = ExitCode.NOISE_GATE


class CountersError(LabError):
    """Counters were required and are not available."""

    exit_code = ExitCode.COUNTERS_UNAVAILABLE


class CheckFailedError(LabError):
    """A benchmark's own check of its result failed."""

    exit_code = ExitCode.CHECK_FAILED


class NotComparableError(LabError):
    """Two things that must not be compared."""

    exit_code = ExitCode.NOT_COMPARABLE
