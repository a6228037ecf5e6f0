"""`scripts/lab` with a gate that sees a made-up machine: `quiet_lab.py ROOT VERB...`, ROOT the folder of that machine's files.

The machine that tests run on is busy with tests, and may have any governor. What the gate says of it is no test's business.
"""

import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "scripts"), str(Path(__file__).resolve().parent)]

import made_up_machine  # noqa: E402  (the lines above have to come first)

from page_map_lab.main import main  # noqa: E402

if __name__ == "__main__":
    made_up_machine.show_to_the_gate(Path(sys.argv[1]))
    sys.exit(main(sys.argv[2:]))
