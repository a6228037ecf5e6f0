"""Checks the models of this folder: what must hold holds in every state, and what is put back or taken away is found.

    tests/model/check.py [NAME...]      all configurations, or those whose names hold one of these words

Prints one line for each configuration that is not as expected, and the figures last. `docs/model.md` says how to read a
counterexample and how to add a rule.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from configurations import CONFIGURATIONS
from verifier import check, figures


def main(arguments: Sequence[str]) -> int:
    """Runs what is asked for; 0 where everything is as expected."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="words of the configurations' names; all, if none is given")
    parser.add_argument("--list", action="store_true", help="say what there is, and the macros of each")
    parser.add_argument("--build", type=Path, default=Path("build/model"), help="where verifiers and counterexamples go")
    parsed = parser.parse_args(arguments)
    chosen = [each for each in CONFIGURATIONS if not parsed.names or any(name in each.name for name in parsed.names)]
    if not chosen:
        print(f"check.py: no configuration is named {' or '.join(parsed.names)}: see --list", file=sys.stderr)
        return 2
    if parsed.list:
        for each in chosen:
            macros = " ".join(f"-D{macro}" for macro in each.macros)
            print(f"{each.name}: {each.model}.pml {macros}: {each.found or 'everything holds'}")
        return 0
    tally, complaints = check(chosen, Path(__file__).parent.resolve(), parsed.build.resolve())
    print(figures(tally))
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
