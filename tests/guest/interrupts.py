"""What the small guest counted: unpacks its records, has `lab report` make the table of expected and counted interrupts, and
says in one line how many cells agree. Usage: interrupts.py RESULTS FOLDER. Exit: 0 where all agree and a tenth of the trials at
most is excluded; 75, try again, where the guest did not come to its end or more is excluded; else 1."""

import base64
import csv
import gzip
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RECORD = re.compile(r"^(\S+): record\n(.*?)\n\1: ended$", re.DOTALL | re.MULTILINE)
ENDED = re.compile(r"^(\S+): exit (\d+)$", re.MULTILINE)
LAUNCHES = 6
TRY_AGAIN = 75  # EX_TEMPFAIL of sysexits.h


def unpack(results: str, folder: Path) -> int:
    """Writes each record that the guest sent into `folder`; returns how many there were."""
    records = RECORD.findall(results)
    for name, packed in records:
        (folder / f"{name}.json").write_bytes(gzip.decompress(base64.b64decode(packed)))
    return len(records)


def main(results_path: Path, folder: Path) -> int:
    """Judges what the guest said; returns the exit code."""
    results = results_path.read_text(encoding="utf-8", errors="replace").replace("\r", "")
    failed = [name for name, code in ENDED.findall(results) if code != "0"]
    came_back = unpack(results, folder)
    if failed or came_back != LAUNCHES:
        print(results[-2000:])
        print(f"guest: {came_back} of {LAUNCHES} launches came to their end, {len(failed)} with an error: see {results_path}")
        return 1 if failed else TRY_AGAIN
    subprocess.run([ROOT / "scripts/lab", "report", folder, "--formats", "csv", "--quiet"], check=True, stdout=subprocess.DEVNULL)
    with (folder / "report" / "shootdowns.csv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table))
    # Removals are few and long, and may lose more than a tenth of them to the machine beneath the guest; all together may not.
    agree = [row for row in rows if row["verdict"] == "agree" or (row["workload"] == "remove" and row["verdict"].startswith("agree"))]
    for row in rows:
        if row not in agree:
            print(f"guest: {row['workload']} {row['variant']} {row['parameters']}: expected {row['expected_interrupts']}, "
                  f"counted {row['counted_interrupts']}, {row['trials_excluded']} of {row['trials']} excluded: {row['verdict']}")
    expected, counted = (sum(float(row[f"{what}_interrupts"] or 0) * int(row["operations"]) for row in rows) for what in ("expected", "counted"))
    excluded, trials = (sum(int(row[name]) for row in rows) for name in ("trials_excluded", "trials"))
    print(f"guest: interrupts of {len(rows)} cells: {len(agree)} agree within 5 %; expected {expected:.0f}, counted {counted:.0f}, "
          f"excluded {excluded} of {trials} trials")
    if any(row["verdict"].startswith("differ") for row in rows):
        return 1
    if excluded > 0.1 * trials:
        print("guest: its processors were taken from it too often, and victims with them: try again with nothing else running")
        return TRY_AGAIN
    return 0 if rows and len(agree) == len(rows) else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
