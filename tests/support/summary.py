"""Prints how many tests ran in each ring, from the reports that pytest left; ends `make test`."""

import sys
from pathlib import Path
from xml.etree import ElementTree as ET


def line(report: Path) -> str:
    """Sum up one ring; a ring without a test is no ring."""
    suites = ET.parse(report).getroot().iter("testsuite")  # noqa: S314 - as above
    counts = [suite.attrib for suite in suites]
    tests, skipped, failed = (
        sum(int(count[key]) for count in counts for key in keys)
        for keys in (("tests",), ("skipped",), ("failures", "errors"))
    )
    seconds = sum(float(count["time"]) for count in counts)
    if not tests or failed:
        raise SystemExit(f"{report.stem}: {tests} tests, {failed} failed")
    note = f", {skipped} skipped" if skipped else ""
    return f"  {report.stem:<12} {tests - skipped:>5} passed{note} in {seconds:.1f} s"


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    lines = [line(folder / f"{ring}.xml") for ring in sys.argv[2:]]
    sys.stdout.write("\n".join(["All rings passed:", *lines, ""]))
