"""Print one table of what the named benchmarks noted; the exit code is 0 when all targets are met.

A benchmark that noted nothing has failed, and that is said too.
"""

import json
import sys

import stage
from stage import Row


def main() -> int:
    """Print the table."""
    missed, failed = 0, []
    for program in sys.argv[1:]:
        path = stage.NOTES / f"{program}.json"
        if not path.exists():
            failed.append(program)
            continue
        noted = json.loads(path.read_text())
        rows = [Row(**row) for row in noted["rows"]]
        sys.stdout.write(f"\n{program}, measured {noted['at']}\n")
        stage.show(rows)
        missed += sum(row.is_missed for row in rows)
    sys.stdout.write(f"\ntargets missed: {missed}; failed: {', '.join(failed) or 'none'}\n")
    return int(missed > 0 or bool(failed))


if __name__ == "__main__":
    sys.exit(main())
