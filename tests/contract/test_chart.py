"""The chart renders what the API accepts, asks for no more than it says, refuses what is wrong."""

import json
from typing import Any

import pytest
import yaml

from contract.conftest import CHART, CHECKOUT, KUBERNETES, Helm, Render
from shoal import names
from shoal.api import settings
from shoal.settings import OperatorSettings
from support import manifests

EVERYTHING: dict[str, Any] = {
    "replicas": 2,
    "watchNamespaces": ["team-a", "team-b"],
    "credentials": {"secrets": "namespaces", "namespaces": ["team-a"]},
    "networkPolicy": {"enabled": True},
    "metrics": {"serviceMonitor": True},
    "image": {"tag": "dev", "pullSecrets": [{"name": "registry"}]},
    "config": {"ingress": {"ingressDomain": "models.example.org"}},
    "serviceAccount": {"annotations": {"a": "b"}},
    "podAnnotations": {"a": "b"},
    "podLabels": {"a": "b"},
    "nodeSelector": {"a": "b"},
    "tolerations": [{"operator": "Exists"}],
    "affinity": {"podAntiAffinity": {}},
    "topologySpreadConstraints": [
        {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
        }
    ],
    "priorityClassName": "system-cluster-critical",
}
OTHERS = ("ServiceMonitor",)  # no schema of its own in the client


def one(objects: list[dict[str, Any]], kind: str, name: str = "shoal") -> dict[str, Any]:
    found = [body for body in objects if (body["kind"], body["metadata"]["name"]) == (kind, name)]
    assert len(found) == 1, f"{kind} {name}: {len(found)} of them"
    return found[0]


def container(objects: list[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = one(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    return found


@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["defaults", "everything"])
def test_every_object_fits_the_api(render: Render, values: dict[str, Any]) -> None:
    objects = render(values)
    for body in objects:
        if body["kind"] not in OTHERS:
            manifests.check(body)
    places = [
        (body["kind"], body["metadata"].get("namespace"), body["metadata"]["name"])
        for body in objects
    ]
    assert len(places) == len(set(places)), "two objects with one name"


def test_lint_has_nothing_to_say(helm: Helm) -> None:
    done = helm("lint", str(CHART), "--strict", "--kube-version", KUBERNETES)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ("replicas=0", "/replicas"),
        ("image.taag=x", "'taag' not allowed"),
        ("config.ingress.ingressDomian=x", "'ingressDomian' not allowed"),
        ("config.ingress.enableGatewayApi=true", "/config/ingress/enableGatewayApi"),
        ("config.agent.memoryLimit=much", "/config/agent/memoryLimit"),
        ("credentials.secrets=all", "/credentials/secrets"),
        ("credentials.secrets=namespaces", "credentials.namespaces: list at least one"),
        ("watchNamespaces[0]=Not_A_Name", "/watchNamespaces/0"),
        ("operator.logLevel=LOUD", "/operator/logLevel"),
        ("runtimes.triton.immage=x", "'immage' not allowed"),
        ("runtimes.mlserver.parallelWorkers=-1", "/runtimes/mlserver/parallelWorkers"),
        ("runtimes.torchserve.immage=x", "'immage' not allowed"),
        ("runtimes.torchserve.image=", "/runtimes/torchserve/image"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(helm: Helm, setting: str, complaint: str) -> None:
    arguments = ["template", "shoal", str(CHART), "--kube-version", KUBERNETES, "--set", setting]
    done = helm(*arguments)
    assert done.returncode != 0
    assert complaint in done.stderr


def test_every_default_is_in_the_schema() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert schema["properties"].keys() - {"global"} == values.keys()


@pytest.mark.parametrize(
    ("key", "part"),
    [
        ("ingress", settings.IngressConfig),
        ("deploy", settings.DeployConfig),
        ("service", settings.ServiceConfig),
        ("agent", settings.AgentConfig),
        ("storageInitializer", settings.StorageInitializerConfig),
        ("credentials", settings.CredentialsConfig),
        ("inferenceService", settings.InferenceServiceConfig),
    ],
)
def test_the_schema_knows_the_fields_that_the_operator_reads(
    key: str, part: type[settings.Part]
) -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    known = schema["properties"]["config"]["properties"][key]["properties"]
    assert known.keys() == {field.alias for field in part.model_fields.values()}


def test_the_configuration_reaches_the_operator_as_it_reads_it(render: Render) -> None:
    config = one(render(EVERYTHING), "ConfigMap", names.OPERATOR_CONFIG)
    assert settings.parse(config["data"]).ingress.ingress_domain == "models.example.org"


@pytest.mark.weakness("C16")
def test_no_configuration_is_an_empty_map(render: Render) -> None:
    config = one(render(), "ConfigMap", names.OPERATOR_CONFIG)
    assert settings.parse(config["data"]) == settings.parse({})


@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["defaults", "everything"])
def test_the_environment_is_one_that_the_operator_reads(
    render: Render, values: dict[str, Any]
) -> None:
    environ = {
        item["name"]: item.get("value", "downward") for item in container(render(values))["env"]
    }
    read = OperatorSettings.parse(environ)
    assert read.watch_namespaces == tuple(values.get("watchNamespaces", ()))
    assert read.image == f"shoal:{values.get('image', {}).get('tag', '0.1.0')}"


def test_the_operator_runs_with_as_little_as_it_can(render: Render) -> None:
    objects = render()
    pod = one(objects, "Deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container(objects)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container(objects)["resources"] == {
        "requests": {"cpu": "50m", "memory": "128Mi"},
        "limits": {"memory": "512Mi"},
    }


def test_probes_ask_the_port_that_the_operator_listens_on(render: Render) -> None:
    operator = container(render())
    paths = [operator[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")]
    assert [probe["path"] for probe in paths] == ["/livez", "/livez", "/readyz"]
    assert {probe["port"] for probe in paths} == {"admin"}
    assert operator["ports"] == [{"name": "admin", "containerPort": 8080}]


@pytest.mark.parametrize(("replicas", "budgets"), [(1, 0), (2, 1)], ids=["one", "two"])
def test_a_disruption_budget_comes_with_the_second_replica(
    render: Render, replicas: int, budgets: int
) -> None:
    kinds = [body["kind"] for body in render({"replicas": replicas})]
    assert kinds.count("PodDisruptionBudget") == budgets


def granted(objects: list[dict[str, Any]], role: str) -> set[tuple[str, str]]:
    rules = one(objects, "ClusterRole", role)["rules"]
    return {
        (resource, verb)
        for rule in rules
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


@pytest.mark.weakness("C33")
def test_secrets_can_be_passed_on_but_never_listed(render: Render) -> None:
    objects = render()
    roles = [body for body in objects if body["kind"] in ("ClusterRole", "Role")]
    verbs = {
        verb
        for role in roles
        for rule in role["rules"]
        for verb in rule["verbs"]
        if "secrets" in rule["resources"]
    }
    assert verbs == {"get"}
    assert granted(objects, "shoal-grants-secrets") == {("secrets", "get")}


def test_what_keda_needs_is_granted_beside_the_others(render: Render) -> None:
    verbs = ("get", "list", "watch", "create", "patch", "delete")
    assert granted(render(), "shoal-keda") == {("scaledobjects", verb) for verb in verbs}


def test_no_right_is_a_wildcard(render: Render) -> None:
    for body in render():
        for rule in body.get("rules", []):
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]


@pytest.mark.parametrize(
    ("values", "bindings"),
    [
        ({}, [("ClusterRoleBinding", None)]),
        ({"watchNamespaces": ["a", "b"]}, [("RoleBinding", "a"), ("RoleBinding", "b")]),
        (
            {"credentials": {"secrets": "namespaces", "namespaces": ["c"]}},
            [("RoleBinding", "c")],
        ),
        ({"credentials": {"secrets": "none"}}, []),
    ],
    ids=["everywhere", "where-it-watches", "where-it-is-told", "nowhere"],
)
def test_secrets_are_held_only_where_wanted(
    render: Render, values: dict[str, Any], bindings: list[tuple[str, str | None]]
) -> None:
    bound = [
        (body["kind"], body["metadata"].get("namespace"))
        for body in render(values)
        if body.get("roleRef", {}).get("name") == "shoal-grants-secrets"
    ]
    assert bound == bindings


@pytest.mark.parametrize(
    ("credentials", "told"),
    [
        ({}, "*"),
        ({"secrets": "namespaces", "namespaces": ["c", "d"]}, "c,d"),
        ({"secrets": "none"}, ""),
    ],
    ids=["everywhere", "where-it-is-told", "nowhere"],
)
def test_the_operator_knows_where_it_holds_secrets(
    render: Render, credentials: dict[str, Any], told: str
) -> None:
    env = container(render({"credentials": credentials}))["env"]
    assert {"name": "SHOAL_SECRET_NAMESPACES", "value": told} in env


def test_rights_end_at_the_watched_namespaces(render: Render) -> None:
    objects = render({"watchNamespaces": ["a"]})
    bound = [body["roleRef"]["name"] for body in objects if body["kind"] == "ClusterRoleBinding"]
    assert bound == ["shoal-cluster"]
    verbs = ("list", "watch", "create", "patch")
    assert granted(objects, "shoal-cluster") == {
        *(("clusterservingruntimes", verb) for verb in verbs),
        *(("clusterstoragecontainers", verb) for verb in ("list", "watch")),
    }


def test_the_lease_is_the_one_that_the_operator_takes(render: Render) -> None:
    rules = one(render(), "Role", "shoal-own")["rules"]
    named = {rule["resources"][0]: rule.get("resourceNames") for rule in rules}
    assert named["leases"] == [names.LEASE]
    assert named["configmaps"] == [names.OPERATOR_CONFIG]


def test_the_ca_bundle_that_is_named_may_be_watched(render: Render) -> None:
    values = {"config": {"storageInitializer": {"caBundleConfigMapName": "ca"}}}
    rules = one(render(values), "Role", "shoal-own")["rules"]
    named = {rule["resources"][0]: rule.get("resourceNames") for rule in rules}
    assert named["configmaps"] == [names.OPERATOR_CONFIG, "ca"]


def test_definitions_are_the_generated_ones_and_stay_on_uninstall(render: Render) -> None:
    paths = sorted((CHECKOUT / "crds").glob("*.yaml"))
    assert paths, "crds/ is empty: run `make generate`"
    copies = CHART / "files" / "crds"
    assert sorted(copy.name for copy in copies.iterdir()) == [path.name for path in paths]
    for path in paths:
        assert (copies / path.name).read_text() == path.read_text(), "run `make generate`"
    rendered = [body for body in render(crds=True) if body["kind"] == "CustomResourceDefinition"]
    assert rendered == [body for path in paths for body in manifests.read(path)]
    for body in rendered:
        assert body["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_definitions_can_be_left_out(render: Render) -> None:
    assert "CustomResourceDefinition" not in {body["kind"] for body in render(crds=False)}


def test_notes_name_the_next_three_commands() -> None:
    notes = (CHART / "templates" / "NOTES.txt").read_text().splitlines()
    assert sum(line.strip().startswith("kubectl ") for line in notes) == 3
