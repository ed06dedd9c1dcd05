"""The operator as a process of its own, as its container runs it."""

import asyncio
import os
import re
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from integration.operator_process.apis import until
from support.agentrigs import free_port

CHECKOUT = Path(__file__).resolve().parents[3]


@dataclass
class Program:
    """One operator."""

    name: str
    process: asyncio.subprocess.Process
    port: int
    log: Path

    async def get(self, path: str) -> tuple[int, str]:
        """Ask its port of probes; 0 is no answer."""
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"http://127.0.0.1:{self.port}{path}") as answer,
            ):
                return answer.status, await answer.text()
        except aiohttp.ClientError:
            return 0, ""

    async def metric(self, line: str) -> float:
        """Read one sample by its whole name, labels included."""
        _, text = await self.get("/metrics")
        found = re.search(rf"^{re.escape(line)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    async def leads(self) -> bool:
        """Tell whether it leads and is in step with the cluster."""
        status, text = await self.get("/readyz")
        return status == 200 and '"leading": true' in text

    async def terminate(self) -> float:
        """Tell it to stop; return after how many seconds it had ended, without an error."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            code = await self.process.wait()
        assert code == 0, f"exit code {code}\n{self.tail()}"
        return time.monotonic() - began

    async def kill(self) -> None:
        """End it as a lost node would."""
        self.process.kill()
        await self.process.wait()

    def memory(self) -> float:
        """Return its resident memory in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
        assert found
        return int(found[1]) / 1024

    def tail(self) -> str:
        """Return the end of its log."""
        return "\n".join(self.said().splitlines()[-60:])

    def said(self) -> str:
        """Return its log."""
        return self.log.read_text()


async def start(name: str, log: Path, env: dict[str, str]) -> Program:
    """Start an operator; return when its port of probes answers."""
    port = free_port()
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(CHECKOUT / "operator"),
        "PYTHONWARNINGS": "error::DeprecationWarning:shoal",
        "SHOAL_POD_NAME": name,
        "SHOAL_IMAGE": "localhost/shoal:dev",
        "SHOAL_ADMIN_HOST": "127.0.0.1",
        "SHOAL_ADMIN_PORT": str(port),
        **env,
    }
    with log.open("a") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "shoal", "operator"),
            env=environ,
            stdout=output,
            stderr=output,
        )
    program = Program(name, process, port, log)

    async def answers() -> bool:
        if process.returncode is not None:
            raise RuntimeError(f"the operator ended at once\n{program.tail()}")
        return (await program.get("/livez"))[0] == 200

    await until(answers, seconds=30)
    return program
