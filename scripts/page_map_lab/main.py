"""Dispatches `lab VERB` to the module of that verb, and turns every failure into one line and an exit code."""

import argparse
import errno
import importlib
import importlib.util
import os
import sys
import traceback
from typing import NoReturn

from page_map_lab import host_snapshot
from page_map_lab.cli_errors import ExitCode, LabError

# Verb to what it does. A verb whose module is not there is not offered.
VERBS = {
    "list": "what exists: workloads, their variants, axes, floors and parameters",
    "doctor": "what is wrong with this machine for measuring, and the command that mends it",
    "tune-host": "mend what can be mended for the time of a command, and restore it",
    "run": "measure: a matrix of variants and parameters, each launch a fresh process",
    "compare": "two sets of records: ratio, interval and verdict per cell",
    "report": "records into one self-contained HTML report, with CSV and Markdown",
    "claims": "measure now every ratio that the project states, and say which hold",
    "selftest": "whether the lab calls a difference where there is none, and finds one that was planted",
    "reproduce": "measure again what a report states, and say ratio by ratio whether it held",
    "record": "record the file accesses of a real program into a trace",
    "profile": "profile variants of one workload, into a session folder with a page",
}

EXIT_CODES = (
    "exit: 0 ok, 1 regression, or a claim or a bar of the self-test that does not hold, 2 usage, unreadable or malformed "
    "input or nothing matched, 3 noise gate, 4 required counters unavailable, 5 a correctness check failed, 6 not comparable"
)


class OneLineParser(argparse.ArgumentParser):
    """A parser whose errors are one line and exit code 2."""

    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f"{self.prog}: {message}: see `{self.prog} --help`\n")
        sys.exit(ExitCode.USAGE)


class VerbFormatter(argparse.HelpFormatter):
    """Help whose column leaves room for the longest verb: argparse forgets that verbs are indented."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog)
        self._action_max_length = 4 + max(map(len, VERBS))


def module_of(verb: str) -> str:
    """The name of a verb's module."""
    return f"page_map_lab.{verb.replace('-', '_')}"


def existing_verbs() -> dict[str, str]:
    """The verbs whose modules are there."""
    return {verb: text for verb, text in VERBS.items() if importlib.util.find_spec(module_of(verb)) is not None}


def make_parser(verb: str | None) -> argparse.ArgumentParser:
    """The whole command line; only the module of the verb in use is imported."""
    parser = OneLineParser(
        prog="lab", description="Benchmark and tune page map variants.", epilog=EXIT_CODES, formatter_class=VerbFormatter
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=OneLineParser)
    common = argparse.ArgumentParser(add_help=False)
    group = common.add_argument_group("common to all verbs")
    group.add_argument("--json", action="store_true", help="print the result as JSON on stdout")
    group.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    group.add_argument("--quiet", action="store_true", help="print nothing but the result and errors")
    for name, text in existing_verbs().items():
        sub = verbs.add_parser(
            name, help=text, description=text[0].upper() + text[1:] + ".", epilog=EXIT_CODES, parents=[common]
        )
        if name == verb:
            importlib.import_module(module_of(name)).add_arguments(sub)
    return parser


def restore_host(verb: str | None) -> None:
    """Restores first what a killed tune-host left behind: nobody is to measure, or go on working, on its settings."""
    if verb == "tune-host":
        return  # which does it itself, and makes its exit code of it
    try:
        for recovery in host_snapshot.recover():
            sys.stderr.write(f"lab: {recovery.line}\n")
    except (LabError, OSError) as error:
        sys.stderr.write(f"lab: what an earlier tune-host left cannot be restored: {error}\n")


def failure(verb: str | None, message: str, code: int) -> int:
    """Prints the one line of a failure."""
    name = f"lab {verb}" if verb else "lab"
    sys.stderr.write(f"{name}: {' '.join(str(message).split())}\n")
    return int(code)


def describe_os_error(error: OSError) -> str:
    """What an unexpected system error means to the user."""
    place = f"{error.filename}: " if error.filename else ""
    way_out = {
        errno.ENOSPC: "free some space and try again; what was finished is kept",
        errno.EACCES: "check the permissions",
        errno.ENOENT: "check the path",
    }.get(error.errno or 0, "see the message of the system")
    return f"{place}{error.strerror or error}: {way_out}"


def main(arguments: list[str] | None = None) -> int:
    """Runs one verb and returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    verb = next((word for word in arguments if not word.startswith("-")), None)
    try:
        restore_host(verb)
        parser = make_parser(verb if verb in existing_verbs() else None)
        namespace = parser.parse_args(arguments)
        code = importlib.import_module(module_of(namespace.verb)).run(namespace)
        sys.stdout.flush()
        return int(code)
    except LabError as error:
        return failure(verb, str(error), error.exit_code)
    except KeyboardInterrupt:
        return failure(verb, "interrupted", ExitCode.INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    except ModuleNotFoundError as error:
        return failure(verb, f"the Python module {error.name} is missing: install Debian's python3-{error.name}", 2)
    except OSError as error:
        return failure(verb, describe_os_error(error), ExitCode.USAGE)
    except MemoryError:
        return failure(verb, "out of memory: ask for fewer pages, or free memory", ExitCode.USAGE)
    except Exception as error:  # noqa: BLE001  (a user never sees a traceback unless they ask for it)
        if os.environ.get("PAGE_MAP_LAB_TRACEBACK"):
            traceback.print_exc()
        return failure(
            verb,
            f"internal error, {type(error).__name__}: {error}: PAGE_MAP_LAB_TRACEBACK=1 shows where",
            ExitCode.USAGE,
        )
