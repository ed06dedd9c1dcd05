import base64

import pytest

from shoal.storage import azurerequests
from shoal.storage.storerequests import RequestError

PATH = "/share/a%20b/c"
QUERY = {"restype": "directory", "comp": "list", "include": "Etag", "marker": "x+y"}
HEADERS = {
    "x-ms-version": "2022-11-02",
    "x-ms-date": "Tue, 14 Nov 2023 22:13:20 GMT",
    "x-ms-range": "bytes=0-9",
}


def test_a_request_is_signed_as_the_official_library_does() -> None:
    key = base64.b64encode(b"secret").decode()
    signed = azurerequests.sign("acc", key, "GET", PATH, (QUERY, HEADERS))
    # From azure-storage-file-share 12.27.1, of the same request.
    assert signed == "jdfMDY+uTlcIFSgn6OHnXCCY5jBP3njJFzowzzxNWgM="


def test_a_key_that_is_none_says_so() -> None:
    with pytest.raises(RequestError, match="the key is not base64"):
        azurerequests.sign("acc", "?", "GET", PATH, (QUERY, HEADERS))
