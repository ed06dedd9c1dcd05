"""Does a model cost MLServer more when there are many? Two hundred on one pod, in four parts.

MLServer's own repository looks through every folder for each load. Two hundred TrainedModels
(`--models`) for one warm MLServer are created a quarter at a time, side by side, and the clock
stops when that quarter is Ready; what is compared is the last quarter with the first.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence

import stage
from stage import Body, Row

SERVER = "bench"
PARTS = 4
_FLAT = 1.5  # the seconds of parts are too few for less


def main() -> int:
    """Run the benchmark; the exit code is 0 when the targets are met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=200)
    names = [f"model-{number:05}" for number in range(parser.parse_args().models)]
    with stage.stage([service()], names):
        first, *_, last = asyncio.run(measure(names))
    each = f"MLServer, {len(names) // PARTS} models"
    return stage.note("mlserver", [
        Row(f"{each}, the first on it: all Ready", first, "s"),
        Row(f"{each}, beside {len(names) * (PARTS - 1) // PARTS} others: all Ready", last, "s"),
        Row("MLServer, the last of these by the first", last / first, "", _FLAT),
    ])  # fmt: skip


def service() -> Body:
    """Write an InferenceService on the chart's runtime for scikit-learn."""
    body = stage.service(SERVER)
    predictor = body["spec"]["predictor"]
    (container,) = predictor.pop("containers")
    predictor["sklearn"] = {"resources": container["resources"]}
    return body


async def measure(names: Sequence[str]) -> list[float]:
    """Create the models part by part; return the seconds that each part takes."""
    taken = []
    size = len(names) // PARTS
    async with stage.connected() as client:
        for start in range(0, size * PARTS, size):
            started = time.perf_counter()
            part = [stage.trained_model(name, SERVER) for name in names[start : start + size]]
            await stage.create(client, part)
            await stage.until_ready(client, start + size)
            taken.append(time.perf_counter() - started)
    return taken


if __name__ == "__main__":
    sys.exit(main())
