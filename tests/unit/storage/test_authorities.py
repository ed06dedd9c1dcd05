from pathlib import Path

import pytest

from shoal.storage import authorities

PEM = """-----BEGIN CERTIFICATE-----
MIIBdTCCARugAwIBAgIUGvx0+Gqm2fUWXZNheRv/nNOMvgkwCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEdGVzdDAgFw0yNjExMjEyMDE5NDlaGA8yMTI2MTAyODIwMTk0
OVowDzENMAsGA1UEAwwEdGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABMT6
Yv7Fm8nM61gVLIl29MInF5icaOWFGpfU4aJx9xZ3jLclgO51AnvuRPWtn4rYFz5Z
lW9q7TldfF5Haudjjb2jUzBRMB0GA1UdDgQWBBTNvgkCoFa3fxejmFTruZ2dnyoU
hzAfBgNVHSMEGDAWgBTNvgkCoFa3fxejmFTruZ2dnyoUhzAPBgNVHRMBAf8EBTAD
AQH/MAoGCCqGSM49BAMCA0gAMEUCIQD3ZjPmE2rfulrodCs1SZJHeYPfIZOSjGsf
I+CdMCDU3wIgbLOG/hzg5R9mVRoqHbNKHqXCcYSeBBWkm4BrSIMDPCg=
-----END CERTIFICATE-----
"""


def _environ(folder: Path) -> dict[str, str]:
    return {"CA_BUNDLE_VOLUME_MOUNT_POINT": str(folder), "CA_BUNDLE_CONFIGMAP_NAME": "ca"}


def test_without_a_bundle_the_usual_ones_are_trusted_and_what_helps_is_said() -> None:
    found = authorities.read({})
    assert (found.text, found.tls) == ("", True)
    assert "caBundleConfigMapName" in found.trust


def test_a_bundle_is_trusted_beside_them_and_read_anew_each_time(tmp_path: Path) -> None:
    usual = authorities.read({}).tls
    assert usual is True
    (tmp_path / "cabundle.crt").write_text(PEM)
    found = authorities.read(_environ(tmp_path))
    assert found.text == PEM
    assert found.tls is authorities.context(PEM)
    assert b"test" in b"".join(
        str(row).encode() for row in authorities.context(PEM).get_ca_certs()
    )
    assert found.trust.startswith(f"add the authority to the CA bundle {tmp_path}/cabundle.crt")
    (tmp_path / "cabundle.crt").unlink()
    assert authorities.read(_environ(tmp_path)).text == ""


def test_comments_may_have_any_letters(tmp_path: Path) -> None:
    (tmp_path / "cabundle.crt").write_text(f"# Főtanúsítvány\n{PEM}")
    found = authorities.read(_environ(tmp_path))
    assert found.tls is not True
    assert found.text.endswith(PEM)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param(None, "cannot be read: No such file or directory", id="not-there"),
        pytest.param("", "has no certificate", id="empty"),
        pytest.param("nonsense", "has no certificate", id="nonsense"),
        pytest.param(PEM[:100] + PEM[-60:], "cannot be read: ", id="damaged"),
    ],
)
def test_one_that_cannot_be_read_stops_nobody_and_is_told(
    tmp_path: Path, text: str | None, why: str
) -> None:
    if text is not None:
        (tmp_path / "cabundle.crt").write_text(text)
    found = authorities.read(_environ(tmp_path))
    assert (found.text, found.tls) == ("", True)
    place = f"the CA bundle {tmp_path}/cabundle.crt (ConfigMap ca) {why}"
    assert found.trust.startswith(place)
