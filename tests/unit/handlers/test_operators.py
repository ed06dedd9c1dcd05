import asyncio
from collections.abc import AsyncIterator

import pytest

from shoal.handlers import operators


async def stubborn() -> AsyncIterator[int]:
    try:
        yield 1
    except GeneratorExit:
        raise RuntimeError("generator didn't stop after athrow()") from None


def test_a_watch_that_cannot_be_closed_at_the_end_is_told_in_a_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    kept = stubborn()

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(operators.unclosed)
        await anext(kept)

    asyncio.run(main())
    told = [row for row in caplog.records if row.name != "asyncio"]
    assert [row.getMessage() for row in told] == [
        "ended with an open watch: generator didn't stop after athrow()"
    ]
    assert [row.levelname for row in caplog.records if row.levelno > 20] == []


def test_another_error_is_told_as_ever(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.new_event_loop()
    operators.unclosed(loop, {"message": "nobody awaited it"})
    loop.close()
    assert [row.getMessage() for row in caplog.records if row.levelname == "ERROR"] == [
        "nobody awaited it"
    ]
