"""Who fetches the models of a service, and whom a storage container concerns."""

import pytest

from shoal.api import inferenceservices
from shoal.api.predictors import Predictor
from shoal.desired import storagecontainers
from shoal.desired.records import Record
from shoal.desired.storagecontainers import Choice, Concerned
from shoal.errors import StalledError
from shoal.reasons import Reason
from support import builders
from support.builders import Body

DEMO = builders.storage_container("demo://", name="b-demo")
FIRST = builders.storage_container("demo://", name="a-demo")
S3 = builders.storage_container("s3://", name="s3")
OURS = builders.storage_container("s3://", name="ours", image="")
URI = {"sklearn": {"storageUri": "demo://iris"}}
IN_S3 = {"sklearn": {"storageUri": "s3://models/iris"}}


def predictor(given: Body) -> Predictor:
    body = builders.inference_service()
    body["spec"]["predictor"] = given
    return inferenceservices.parse(body).predictor


def choose(given: Body, *bodies: Body, held: str | None = None) -> Choice:
    found = storagecontainers.read(bodies)
    return storagecontainers.choose(predictor(given), found, held)


def storage(**parameters: str) -> Body:
    return {"sklearn": {"storage": {"key": "k", "path": "iris", "parameters": parameters}}}


def many(*uris: str) -> Body:
    rows = [{"uri": uri, "mountPath": f"/mnt/models/{row}"} for row, uri in enumerate(uris)]
    return {"triton": {}, "storageUris": rows}


@pytest.mark.parametrize(
    ("given", "bodies", "expected"),
    [
        pytest.param(URI, [DEMO], "b-demo", id="by-its-prefix"),
        pytest.param(
            URI,
            [builders.storage_container(name="r", formats=[{"regex": "demo://(.+)"}])],
            "r",
            id="by-its-regex",
        ),
        pytest.param(IN_S3, [DEMO], "", id="none-fits-is-our-own"),
        pytest.param(IN_S3, [S3, DEMO], "s3", id="before-our-own"),
        pytest.param({"sklearn": {}}, [S3], "", id="a-host-has-nothing-to-fetch"),
        pytest.param(
            {"sklearn": {"storageUri": "pvc://claim/iris"}},
            [builders.storage_container("pvc://", name="claims")],
            "",
            id="a-claim-is-mounted",
        ),
        pytest.param(
            {"sklearn": {"storageUri": "file:///iris"}},
            [builders.storage_container("file://", name="files")],
            "",
            id="a-file-is-mounted",
        ),
        pytest.param(
            {**URI, "initContainers": [{"name": "storage-initializer", "image": "a"}]},
            [DEMO],
            "",
            id="the-users-own-does-it-all",
        ),
        pytest.param(
            URI,
            [builders.storage_container("demo://", disabled=True), DEMO],
            "b-demo",
            id="a-disabled-one-is-passed-over",
        ),
        pytest.param(
            URI,
            [
                builders.storage_container(
                    "demo://", name="a", workloadType="localModelDownloadJob"
                ),
                DEMO,
            ],
            "b-demo",
            id="one-for-caches-is-passed-over",
        ),
        pytest.param(
            IN_S3,
            [builders.storage_container(formats=[{"regex": "s3("}], name="a"), S3],
            "s3",
            id="a-bad-regex-is-passed-over",
        ),
        pytest.param(
            many("demo://a", "demo://b"), [DEMO], "", id="of-several-addresses-one-is-too-few"
        ),
        pytest.param(
            many("demo://a", "demo://b"),
            [builders.storage_container("demo://", name="m", supportsMultiModelDownload=True)],
            "m",
            id="several-addresses",
        ),
        pytest.param(
            many("demo://a", "pvc://claim/b"), [DEMO], "b-demo", id="a-claim-is-not-counted"
        ),
        pytest.param(
            many("demo://a", "s3://b"),
            [builders.storage_container("demo://", name="m", supportsMultiModelDownload=True)],
            "",
            id="all-addresses-or-none",
        ),
        pytest.param(storage(type="s3", bucket="b"), [S3], "s3", id="a-path-with-its-store"),
        pytest.param(
            storage(type="hdfs"),
            [builders.storage_container("hdfs://", name="hadoop")],
            "hadoop",
            id="a-path-of-hadoops",
        ),
        pytest.param(
            storage(type="azure"),
            [builders.storage_container("azure://", name="ours", image="")],
            "ours",
            id="a-path-that-we-fetch-without-an-image",
        ),
        pytest.param(
            storage(type="hdfs"),
            [builders.storage_container("hdfs://", image="")],
            "",
            id="a-path-that-we-do-not-fetch",
        ),
        pytest.param(storage(type="s3"), [S3], "", id="a-path-whose-bucket-a-secret-may-have"),
        pytest.param(storage(), [S3], "", id="a-path-whose-store-a-secret-may-have"),
        pytest.param(IN_S3, [OURS], "ours", id="without-an-image"),
        pytest.param(
            URI,
            [builders.storage_container("demo://", image="")],
            "",
            id="without-an-image-only-what-we-fetch",
        ),
    ],
)
def test_the_choice_that_is_left_open(given: Body, bodies: list[Body], expected: str) -> None:
    choice = choose(given, *bodies)
    assert choice.name == expected
    assert (choice.container.name if choice.container else "") == expected


@pytest.mark.weakness("C36")
@pytest.mark.parametrize("bodies", [(DEMO, FIRST), (FIRST, DEMO)], ids=["one-way", "the-other"])
def test_of_several_the_first_by_name_is_taken_and_that_is_told(bodies: tuple[Body, ...]) -> None:
    choice = choose(URI, *bodies)
    assert choice.name == "a-demo"
    assert choice.doubt is not None
    assert choice.doubt.reason == Reason.STORAGE_CONTAINERS_OVERLAP
    assert choice.doubt.message == (
        "The models are fetched by ClusterStorageContainer a-demo, and these support their"
        " addresses as well: b-demo. A service takes the first by name and stays with it;"
        " spec.predictor.storageContainerName names another."
    )


def test_what_is_named_is_taken_and_nothing_is_told_of_others() -> None:
    choice = choose({**URI, "storageContainerName": "b-demo"}, FIRST, DEMO)
    assert (choice.name, choice.doubt) == ("b-demo", None)
    assert choice.remark == "The models are fetched by ClusterStorageContainer b-demo."


@pytest.mark.parametrize(
    ("given", "body", "reason", "said"),
    [
        pytest.param(
            URI,
            S3 | {"metadata": builders.metadata("other")},
            Reason.STORAGE_CONTAINER_NOT_FOUND,
            "spec.predictor.storageContainerName: there is no ClusterStorageContainer named;",
            id="missing",
        ),
        pytest.param(
            URI,
            builders.storage_container("demo://", name="named", disabled=True),
            Reason.STORAGE_CONTAINER_DISABLED,
            "ClusterStorageContainer named: disabled is true",
            id="disabled",
        ),
        pytest.param(
            URI,
            builders.storage_container(
                "demo://", name="named", workloadType="localModelDownloadJob"
            ),
            Reason.STORAGE_CONTAINER_UNFIT,
            "ClusterStorageContainer named: spec.workloadType is localModelDownloadJob; name one",
            id="for-caches",
        ),
        pytest.param(
            IN_S3,
            builders.storage_container("demo://", name="named"),
            Reason.STORAGE_CONTAINER_UNFIT,
            "spec.predictor.sklearn.storageUri: is not supported by ClusterStorageContainer named",
            id="another-address",
        ),
        pytest.param(
            URI,
            builders.storage_container(name="named", formats=[{"regex": "demo("}]),
            Reason.STORAGE_CONTAINER_UNFIT,
            "spec.supportedUriFormats[0].regex: 'demo(' is no regular expression",
            id="a-bad-regex",
        ),
        pytest.param(
            many("demo://a", "demo://b"),
            builders.storage_container("demo://", name="named"),
            Reason.STORAGE_CONTAINER_UNFIT,
            "spec.predictor.storageUris: ClusterStorageContainer named fetches one address only",
            id="several-addresses",
        ),
        pytest.param(
            storage(),
            builders.storage_container("s3://", name="named"),
            Reason.STORAGE_CONTAINER_UNFIT,
            "spec.predictor.sklearn.storage.parameters: type: unable to determine storage type",
            id="a-type-that-only-the-secret-has",
        ),
        pytest.param(
            storage(type="s3"),
            builders.storage_container("s3://", name="named"),
            Reason.STORAGE_CONTAINER_UNFIT,
            "spec.predictor.sklearn.storage.parameters: bucket: format [s3] requires a bucket",
            id="a-bucket-that-only-the-secret-has",
        ),
        pytest.param(
            URI,
            builders.storage_container("demo://", name="named", image=""),
            Reason.STORAGE_CONTAINER_UNFIT,
            "has no image, and the operator's own program does not fetch this address",
            id="no-image-for-a-strange-address",
        ),
        pytest.param(
            IN_S3,
            builders.storage_container("s3://", name="named", image="", container={"args": ["a"]}),
            Reason.STORAGE_CONTAINER_UNFIT,
            "spec.container.args: is of no use without an image",
            id="no-image-and-arguments",
        ),
    ],
)
def test_what_is_named_must_fit(given: Body, body: Body, reason: Reason, said: str) -> None:
    with pytest.raises(StalledError) as raised:
        choose({**given, "storageContainerName": "named"}, body)
    assert raised.value.reason == reason
    assert said in raised.value.message


def test_a_regex_that_does_not_compile_is_told_to_those_it_may_have_been_for() -> None:
    bad = builders.storage_container(name="bad", formats=[{"regex": "demo("}])
    for given, bodies in ((IN_S3, [bad]), (URI, [bad, DEMO])):
        doubt = choose(given, *bodies).doubt
        assert doubt is not None
        assert doubt.reason == Reason.STORAGE_CONTAINER_INVALID
        assert doubt.message.startswith("Passed over: ClusterStorageContainer bad: spec.")
    named = choose({**URI, "storageContainerName": "b-demo"}, bad, DEMO)
    assert named.doubt is None


@pytest.mark.parametrize(
    ("bodies", "held", "expected"),
    [
        pytest.param([FIRST, DEMO], "b-demo", "b-demo", id="on-one-that-is-not-the-first"),
        pytest.param([FIRST], "", "", id="on-our-own"),
        pytest.param([FIRST, DEMO], None, "a-demo", id="on-none-yet"),
    ],
)
def test_a_service_stays_with_what_it_has(
    bodies: list[Body], held: str | None, expected: str
) -> None:
    choice = choose(URI, *bodies, held=held)
    assert (choice.name, choice.concern) == (expected, None)


def test_what_supports_its_address_by_now_is_told_to_one_on_our_own() -> None:
    choice = choose(IN_S3, S3, held="")
    assert choice.remark.startswith("ClusterStorageContainer s3 supports the models' addresses")
    assert choose(IN_S3, DEMO, held="").remark == ""


@pytest.mark.parametrize(
    ("bodies", "reason"),
    [
        pytest.param([FIRST], Reason.STORAGE_CONTAINER_NOT_FOUND, id="gone"),
        pytest.param(
            [builders.storage_container("demo://", name="b-demo", disabled=True)],
            Reason.STORAGE_CONTAINER_DISABLED,
            id="disabled",
        ),
        pytest.param(
            [builders.storage_container("x://", name="b-demo")],
            Reason.STORAGE_CONTAINER_UNFIT,
            id="for-other-addresses",
        ),
    ],
)
@pytest.mark.parametrize("named", [{}, {"storageContainerName": "b-demo"}], ids=["open", "named"])
def test_a_service_that_runs_is_not_broken_by_its_container(
    bodies: list[Body], reason: Reason, named: Body
) -> None:
    choice = choose({**URI, **named}, *bodies, held="b-demo")
    assert (choice.name, choice.container) == ("b-demo", None)
    assert choice.concern is not None
    assert choice.concern.reason == reason


def test_hints_say_why_one_that_supports_the_address_is_not_taken() -> None:
    disabled = builders.storage_container("demo://", disabled=True)
    choice = choose(URI, disabled, S3)
    (hint,) = choice.hints
    assert hint == (
        "ClusterStorageContainer fetcher: disabled is true; enable it or name another under"
        " spec.predictor.storageContainerName"
    )


def _deployment(digest: str = "", name: str = "") -> Body:
    record = Record("t", predictor=digest, storage_container=name)
    return builders.deployment(annotations=record.encode())


def test_what_a_service_is_on_is_read_from_its_deployment() -> None:
    assert storagecontainers.held(_deployment("d", "b-demo"), "d") == "b-demo"
    assert storagecontainers.held(_deployment("d"), "d") == ""
    assert storagecontainers.held(_deployment("d", "b-demo"), "other") is None
    assert storagecontainers.held(None, "d") is None


def _service(given: Body) -> Body:
    body = builders.inference_service()
    body["spec"]["predictor"] = given
    return body


@pytest.mark.parametrize(
    ("body", "given", "on", "expected"),
    [
        pytest.param(DEMO, URI, "", True, id="supports-its-address"),
        pytest.param(DEMO, IN_S3, "", False, id="supports-others"),
        pytest.param(DEMO, {"sklearn": {}}, "", False, id="nothing-to-fetch"),
        pytest.param(DEMO, {"containers": [builders.container()]}, "", False, id="a-server-alone"),
        pytest.param(
            DEMO,
            {
                "containers": [
                    builders.container(env=[{"name": "STORAGE_URI", "value": "demo://iris"}])
                ]
            },
            "",
            True,
            id="an-address-in-the-environment",
        ),
        pytest.param(DEMO, many("s3://a", "demo://b"), "", True, id="one-of-several-addresses"),
        pytest.param(S3, storage(type="s3", bucket="b"), "", True, id="a-path-with-its-store"),
        pytest.param(
            S3, {**URI, "storageContainerName": "s3"}, "", True, id="named-though-it-cannot"
        ),
        pytest.param(DEMO, {**URI, "storageContainerName": "s3"}, "", False, id="another-named"),
        pytest.param(S3, URI, "s3", True, id="its-pods-are-on-it"),
        pytest.param(
            builders.storage_container(formats=[{"regex": "("}]), URI, "", True, id="a-bad-regex"
        ),
        pytest.param(
            builders.storage_container("demo://", workloadType="x"),
            URI,
            {},
            False,
            id="unreadable",
        ),
        pytest.param(DEMO, {"sklearn": {"storageUri": 7}}, "", False, id="unreadable-service"),
    ],
)
def test_concerned(body: Body, given: Body, on: str, *, expected: bool) -> None:
    assert Concerned(body)(_service(given), _deployment(name=on)) is expected
