from datetime import UTC, datetime

from shoal.api.meta import Metadata


def test_metadata_is_read_as_stored() -> None:
    body = {
        "metadata": {
            "name": "iris",
            "namespace": "team",
            "uid": "u",
            "generation": 3,
            "labels": {"a": "b"},
            "annotations": {"c": "d"},
            "creationTimestamp": "2026-11-21T10:00:00Z",
            "deletionTimestamp": "2026-11-21T11:00:00Z",
        }
    }

    assert Metadata.parse(body) == Metadata(
        name="iris",
        namespace="team",
        uid="u",
        generation=3,
        labels={"a": "b"},
        annotations={"c": "d"},
        created=datetime(2026, 11, 21, 10, tzinfo=UTC),
        deleting=True,
    )


def test_what_is_absent_is_empty() -> None:
    read = Metadata.parse({})

    assert (read.name, read.namespace, read.generation, read.deleting) == ("", "", 0, False)
    assert (read.labels, read.annotations) == ({}, {})
    assert read.created == datetime(1970, 1, 1, tzinfo=UTC)
