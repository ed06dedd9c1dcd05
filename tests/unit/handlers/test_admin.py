"""What the probes say."""

from dataclasses import replace

import pytest

from shoal.handlers.admin import Health

LEADER = Health(
    able=True,
    leading=True,
    synced=True,
    watch_ages={"pods": 59.0},
    oldest_key=0.1,
    api_contact_age=1.0,
)


@pytest.mark.parametrize(
    ("health", "live", "ready"),
    [
        pytest.param(LEADER, True, True, id="a-leader-at-work"),
        pytest.param(replace(LEADER, synced=False), True, False, id="a-leader-not-in-step-yet"),
        pytest.param(
            replace(LEADER, watch_ages={"pods": 1.0, "services": 181.0}), False, False,
            id="a-stream-that-died",
        ),
        pytest.param(replace(LEADER, oldest_key=301.0), False, False, id="a-key-nobody-takes"),
        pytest.param(
            replace(LEADER, leading=False, synced=False, watch_ages={}), True, True,
            id="standing-by",
        ),
        pytest.param(
            replace(LEADER, leading=False, watch_ages={}, api_contact_age=61.0), True, False,
            id="standing-by-without-the-api-server",
        ),
        pytest.param(
            replace(LEADER, able=False, leading=False, synced=False, watch_ages={}), True, False,
            id="waiting-for-what-leading-takes",
        ),
    ],
)  # fmt: skip
def test_probes(health: Health, live: bool, ready: bool) -> None:
    assert (health.is_live(), health.is_ready()) == (live, ready)
