"""Where the API serves each kind."""

import pytest

from shoal.cluster import kinds
from shoal.cluster.kinds import Kind


@pytest.mark.parametrize(
    ("kind", "place", "path"),
    [
        (kinds.POD, (), "/api/v1/pods"),
        (kinds.POD, ("ns", "a"), "/api/v1/namespaces/ns/pods/a"),
        (
            kinds.TRAINED_MODEL,
            ("ns", "m", "status"),
            "/apis/serving.kserve.io/v1alpha1/namespaces/ns/trainedmodels/m/status",
        ),
        (Kind("v1", "Node", "nodes", namespaced=False), ("", "n"), "/api/v1/nodes/n"),
        (
            kinds.ROLE,
            ("ns", "a/b"),
            "/apis/rbac.authorization.k8s.io/v1/namespaces/ns/roles/a%2Fb",
        ),
    ],
)
def test_paths(kind: Kind, place: tuple[str, ...], path: str) -> None:
    assert kind.path(*place) == path


def test_a_manifest_says_its_kind() -> None:
    assert kinds.of({"apiVersion": "apps/v1", "kind": "Deployment"}) is kinds.DEPLOYMENT
    with pytest.raises(KeyError):
        kinds.of({"apiVersion": "v1", "kind": "Secret"})
