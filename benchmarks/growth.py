"""How cost grows with models, with services and with replicas; written and drawn into docs/.

Each point has a stage of its own: its services are warm, its models are created side by side, and
the clock stops when all are Ready on every replica. The line that bounds it is what the API server
takes: the three writes of a model (created, reported, owned) at the rate at which the same API
server, in the same run, takes bare writes. Writes `docs/growth.csv` and `docs/growth.svg`.
"""

import argparse
import asyncio
import csv
import sys
import time
from dataclasses import asdict, dataclass, fields

import matplotlib as mpl
import stage
from matplotlib.figure import Figure
from stage import Body

from shoal.cluster.client import Client

WRITES_PER_MODEL = 3
TABLE = stage.CHECKOUT / "docs" / "growth.csv"
PICTURE = stage.CHECKOUT / "docs" / "growth.svg"
AXES = ("models", "services", "replicas")
_BARE_WRITES = 300


@dataclass(frozen=True)
class Point:
    """One stage: how much there was of everything, and what it cost."""

    axis: str
    models: int
    services: int
    replicas: int
    seconds: float = 0
    operator_cpu_ms_per_model: float = 0
    bound_seconds: float = 0


PLAN = [
    *(Point("models", models, 1, 1) for models in (100, 300, 1000, 2000)),
    *(Point("services", 600, services, 1) for services in (1, 2, 4, 6)),
    *(Point("replicas", 300, 1, replicas) for replicas in (1, 2, 4)),
]


def main() -> int:
    """Measure every point, or only draw what was measured before."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draw", action="store_true", help="draw docs/growth.csv anew")
    if not parser.parse_args().draw:
        write([measured(point) for point in PLAN])
    draw(read())
    return 0


def measured(point: Point) -> Point:
    """Set the stage of one point, and measure it."""
    services = [f"bench-{number}" for number in range(point.services)]
    names = [f"model-{number:05}" for number in range(point.models)]
    bodies = [stage.service(name, replicas=point.replicas) for name in services]
    with stage.stage(bodies, names):
        done = asyncio.run(_measure(point, services, names))
    sys.stdout.write(f"{done}\n")
    sys.stdout.flush()
    return done


async def _measure(point: Point, services: list[str], names: list[str]) -> Point:
    async with stage.connected() as client:
        rate = await write_rate(client)
        before = stage.operator("process_cpu_seconds_total")
        started = time.perf_counter()
        await stage.create(
            client,
            [
                stage.trained_model(name, services[number % len(services)])
                for number, name in enumerate(names)
            ],
        )
        await stage.until_ready(client, len(names))
        seconds = time.perf_counter() - started
        cpu = stage.operator("process_cpu_seconds_total") - before
    return Point(
        point.axis, point.models, point.services, point.replicas,
        seconds=round(seconds, 2),
        operator_cpu_ms_per_model=round(1000 * cpu / len(names), 2),
        bound_seconds=round(WRITES_PER_MODEL * len(names) / rate, 2),
    )  # fmt: skip


async def write_rate(client: Client) -> float:
    """Measure how many small objects a second the API server takes."""
    started = time.perf_counter()
    await stage.create(client, map(_small, range(_BARE_WRITES)))
    return _BARE_WRITES / (time.perf_counter() - started)


def _small(number: int) -> Body:
    meta = {"name": f"small-{number:04}", "namespace": stage.NAMESPACE}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"a": "b"}}


def write(points: list[Point]) -> None:
    """Write the table."""
    with TABLE.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Point)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(map(asdict, points))


def read() -> list[Point]:
    """Read the table."""
    with TABLE.open(newline="") as file:
        return [
            Point(
                row["axis"], *(int(row[axis]) for axis in AXES),
                *(float(row[field.name]) for field in fields(Point)[4:]),
            )
            for row in csv.DictReader(file)
        ]  # fmt: skip


def draw(points: list[Point]) -> None:
    """Draw one panel for each thing that grows."""
    # The same table is the same picture, byte by byte.
    mpl.rcParams |= {"svg.hashsalt": "shoal", "svg.fonttype": "none"}
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    panels = figure.subplots(1, len(AXES))
    for axis, panel in zip(AXES, panels, strict=True):
        row = [point for point in points if point.axis == axis]
        along = [getattr(point, axis) for point in row]
        panel.plot(along, [point.seconds for point in row], "o-", label="all Ready")
        panel.plot(
            along, [point.bound_seconds for point in row], "--", label="API server's writes"
        )
        others = [other for other in AXES if other != axis]
        fixed = ", ".join(f"{getattr(row[0], other):,} {other}" for other in others)
        panel.set(title=f"{axis} ({fixed})", xlabel=axis, ylabel="seconds")
        panel.set_ylim(bottom=0)
        panel.set_xlim(left=0)
        panel.legend()
    figure.savefig(PICTURE, metadata={"Date": None})


if __name__ == "__main__":
    sys.exit(main())
