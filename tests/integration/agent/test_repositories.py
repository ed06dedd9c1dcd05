"""Git repositories over http and https, from git's own server."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from shoal.storage.credentials import Credentials, Holder
from shoal.storage.failures import FetchError, Kind
from shoal.storage.limits import Limits
from support import gitsites
from support.fetches import Terms, fetch, fingerprint
from support.gitsites import LINK, SUBMODULE, GitSite

LARGE = hashlib.shake_256(b"seed").digest(5_000_000)
FILES = {"model.bin": LARGE, "a/b c/é.txt": b"text", "empty": b"", "a/same.txt": b"text"}
WHO = "Secret ns/git"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[GitSite]:
    with gitsites.running(tmp_path / "site") as running:
        yield running


def known(password: str, **more: str) -> Credentials:
    data = {"GIT_USERNAME": "bob", "GIT_PASSWORD": password} | more
    return Credentials((Holder(WHO, data, {}),))


async def test_a_repository_brings_its_files(site: GitSite, tmp_path: Path) -> None:
    uri = site.make("m.git")
    site.commit("m.git", {"old": LARGE[::-1]})
    site.commit("m.git", FILES)
    assert await fetch(uri, tmp_path / "work") == FILES
    assert [each.name for each in (tmp_path / "work").iterdir() if each.is_dir()] == ["tree"]


async def test_files_that_git_stores_as_differences_arrive(site: GitSite, tmp_path: Path) -> None:
    lines = [f"{index}: {index**9}\n".encode() * 9 for index in range(600)]
    files = {f"{n}/weights-{n}.txt": b"".join(lines[n:]) for n in range(150)}
    uri = site.make("m.git")
    site.commit("m.git", files)
    assert await fetch(uri, tmp_path / "work") == files


async def test_a_revision_is_a_branch_a_tag_or_a_commit(site: GitSite, tmp_path: Path) -> None:
    uri = site.make("m.git")
    first = site.commit("m.git", {"a": b"1"})
    site.commit("m.git", {"a": b"2"})
    site.commit("m.git", {"a": b"3"}, "refs/heads/fix/50%")
    site.tag("m.git", "v1", first)
    found = [
        (await fetch(f"{uri}{revision}", tmp_path / f"{at}"))["a"]
        for at, revision in enumerate(
            ("", "#main", "#fix/50%25", "#v1", f"#{first}", "#refs/tags/v1", "#HEAD")
        )
    ]
    assert found == [b"2", b"2", b"3", b"1", b"1", b"1", b"2"]


@pytest.mark.parametrize("config", [(), ("uploadpack.allowAnySHA1InWant=true",)])
async def test_a_commit_behind_the_newest_is_found(
    site: GitSite, config: tuple[str, ...], tmp_path: Path
) -> None:
    uri = site.make("m.git", *config)
    first = site.commit("m.git", {"a": b"1"})
    site.commit("m.git", {"a": b"2"})
    assert await fetch(f"{uri}#{first}", tmp_path / "work") == {"a": b"1"}


async def test_a_tag_is_had_from_a_server_that_gives_names_alone(
    site: GitSite, tmp_path: Path
) -> None:
    site.version = "version=0"
    uri = site.make("m.git")
    site.tag("m.git", "v1", site.commit("m.git", {"a": b"1"}))
    site.commit("m.git", {"a": b"2"})
    assert await fetch(f"{uri}#v1", tmp_path / "work") == {"a": b"1"}


async def test_commits_may_be_named_by_sha256(site: GitSite, tmp_path: Path) -> None:
    uri = site.make("m.git", names="sha256")
    site.commit("m.git", {"a": b"1", "b": site.point(b"2")})
    assert await fetch(uri, tmp_path / "work") == {"a": b"1", "b": b"2"}


async def test_nothing_is_converted(site: GitSite, tmp_path: Path) -> None:
    uri = site.make("m.git")
    rules = b"* text eol=crlf ident filter=lfs\nb working-tree-encoding=UTF-16 export-ignore\n"
    files = {".gitattributes": rules, "a": b"$Id$\n", "b": b"b\n", ".lfsconfig": b"["}
    site.commit("m.git", files)
    assert await fetch(uri, tmp_path / "work") == files


async def test_only_a_new_commit_is_a_new_content(site: GitSite) -> None:
    uri = site.make("m.git")
    site.commit("m.git", {"a": b"1"})
    first = await fingerprint(uri, Credentials())
    site.commit("m.git", {"b": b"1"}, "refs/heads/other")
    assert await fingerprint(uri, Credentials()) == first
    site.commit("m.git", {"a": b"2"})
    assert await fingerprint(uri, Credentials()) != first
    assert site.packs == 0


async def test_a_link_becomes_a_copy_of_its_file(site: GitSite, tmp_path: Path) -> None:
    uri = site.make("m.git")
    files = {"v1/m": b"1", "now": (LINK, "v1/m"), "v2/n": (LINK, "../now"), "text": b"v1/m"}
    site.commit("m.git", files)
    found = await fetch(uri, tmp_path / "work")
    assert found == {"v1/m": b"1", "now": b"1", "v2/n": b"1", "text": b"v1/m"}


@pytest.mark.parametrize(
    ("login", "credentials"),
    [
        pytest.param("bob:right", known(" right\n"), id="Secret"),
        pytest.param("git:right", known("right", GIT_USERNAME=""), id="no user"),
        pytest.param(
            "al:right",
            Credentials(environ={"GIT_USERNAME": "al", "GIT_PASSWORD": "right"}),
            id="environment",
        ),
        pytest.param(
            "x:y",
            known(
                "",
                headers=json.dumps({"Authorization": "Basic eDp5"}),
                **{"https-host": "127.0.0.1"},
            ),
            id="headers",
        ),
    ],
)
async def test_a_private_repository_is_fetched_with_a_secret(
    site: GitSite, login: str, credentials: Credentials, tmp_path: Path
) -> None:
    uri = site.make("m.git")
    site.commit("m.git", {"a": b"1"})
    site.login = login
    assert await fetch(uri, tmp_path / "work", credentials) == {"a": b"1"}


@pytest.mark.parametrize(
    ("user", "login"),
    [
        pytest.param("eve@", "eve:right", id="upstream's: the password is the Secret's"),
        pytest.param("eve:own@", "eve:own", id="both in the address"),
    ],
)
async def test_an_address_may_name_the_user(
    site: GitSite, user: str, login: str, tmp_path: Path
) -> None:
    uri = site.make("m.git").replace("://", f"://{user}")
    site.commit("m.git", {"a": b"1"})
    site.login = login
    assert await fetch(uri, tmp_path / "work", known("right")) == {"a": b"1"}


@pytest.mark.parametrize(
    ("credentials", "reason", "message"),
    [
        pytest.param(
            known("wrong"),
            "CredentialsRefused",
            "Secret ns/git: 127.0.0.1 refused its user and password for {uri} (401 Unauthorized); "
            "they are wrong, expired, or may not read this repository",
            id="wrong password",
        ),
        pytest.param(
            known("right", **{"https-host": "example.com"}),
            "CredentialsNotFound",
            "127.0.0.1 refused anonymous access to {uri} (401 Unauthorized): it is private, "
            "or not there; list a Secret with GIT_USERNAME and GIT_PASSWORD under secrets of the "
            "pod's ServiceAccount",
            id="a Secret for another host",
        ),
    ],
)
async def test_a_private_repository_says_what_is_missing(
    site: GitSite, credentials: Credentials, reason: str, message: str, tmp_path: Path
) -> None:
    uri = site.make("m.git")
    site.login = "bob:right"
    with pytest.raises(FetchError) as caught:
        await fetch(uri, tmp_path / "work", credentials)
    assert (caught.value.kind, caught.value.reason) == (Kind.PERMANENT, reason)
    assert caught.value.message == message.format(uri=uri)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        pytest.param(
            {"m/model.bin": POINTER.replace(b"size", b"")},
            "'m/model.bin' is a pointer to Git LFS that cannot be read",
            id="LFS",
        ),
        pytest.param(
            {"a": b"1", "sub": (SUBMODULE, "1" * 40)},
            "the repository's entry 'sub' is a submodule, which is not followed; put its files "
            "into this repository, or name its own address",
            id="submodule",
        ),
        pytest.param(
            {"d/out": (LINK, "../../etc/passwd")},
            "the repository's entry 'd/out' links to no file within it",
            id="link out",
        ),
        pytest.param(
            {"out": (LINK, "/etc/passwd")},
            "the repository's entry 'out' links to no file within it",
            id="link to the root",
        ),
        pytest.param(
            {f"{n}": b"%d" % n for n in range(6)},
            "the repository has more than 5 entries",
            id="too many files",
        ),
    ],
)
async def test_what_is_no_model_is_refused(
    site: GitSite, files: gitsites.Files, message: str, tmp_path: Path
) -> None:
    uri = site.make("m.git")
    site.commit("m.git", files)
    with pytest.raises(FetchError) as caught:
        await fetch(uri, tmp_path / "work", terms=Terms(limits=Limits(files=5)))
    assert (caught.value.kind, caught.value.reason) == (Kind.PERMANENT, "InvalidArtifact")
    assert caught.value.message == f"{uri}: {message}"


class Bound(NamedTuple):
    """What is too much, and how that is told."""

    content: bytes
    reason: str
    message: str
    room: int = 1 << 30
    size: int = 1 << 40


@pytest.mark.parametrize(
    "bound",
    [
        pytest.param(Bound(LARGE, "ArtifactTooLarge", "fetchMaxSize", size=1_000_000), id="pack"),
        pytest.param(
            Bound(bytes(5_000_000), "ArtifactTooLarge", "repository holds more", size=1_000_000),
            id="content",
        ),
        pytest.param(
            Bound(LARGE, "StoreFull", "than the 1000000 bytes", room=1_000_000), id="room"
        ),
        pytest.param(
            Bound(bytes(5_000_000), "StoreFull", "there is no room", room=1_000_000),
            id="room for the content",
        ),
        pytest.param(Bound(bytes(200_000_000), "InvalidArtifact", "taken for a bomb"), id="bomb"),
    ],
)
async def test_too_much_is_refused(site: GitSite, bound: Bound, tmp_path: Path) -> None:
    uri = site.make("m.git")
    site.commit("m.git", {"m": bound.content})
    terms = Terms(limits=Limits(size=bound.size))
    with pytest.raises(FetchError, match=bound.message) as caught:
        await fetch(uri, tmp_path / "work", room=bound.room, terms=terms)
    assert (caught.value.kind, caught.value.reason) == (Kind.PERMANENT, bound.reason)


@pytest.mark.parametrize(
    ("revision", "message"),
    [
        pytest.param(
            "#v2",
            "{uri}#v2: it has no branch or tag 'v2'; a commit is named by all of its 40 digits",
            id="no tag",
        ),
        pytest.param(
            "#" + "1" * 40, "{uri}#1{40}: the server has not what was asked for: .*", id="commit"
        ),
    ],
)
async def test_a_revision_that_is_not_there_is_named(
    site: GitSite, revision: str, message: str, tmp_path: Path
) -> None:
    uri = site.make("m.git")
    site.commit("m.git", {"a": b"1"})
    with pytest.raises(FetchError) as caught:
        await fetch(f"{uri}{revision}", tmp_path / "work")
    assert (caught.value.kind, caught.value.reason) == (Kind.PERMANENT, "ModelNotFound")
    assert caught.match(message.replace("{uri}", uri))


async def test_an_empty_repository_says_so(site: GitSite, tmp_path: Path) -> None:
    uri = site.make("m.git")
    with pytest.raises(FetchError, match=r"^http://.*: it is empty, or has no default"):
        await fetch(uri, tmp_path / "work")


async def test_a_repository_that_is_not_there(site: GitSite, tmp_path: Path) -> None:
    with pytest.raises(FetchError) as caught:
        await fetch(f"{site.url}/no.git", tmp_path / "work")
    assert caught.value.reason == "ModelNotFound"
    assert caught.match(
        "has no repository http://.*/no.git .404 Not Found; asked as a stranger; if"
    )


async def test_a_digest_is_that_of_the_list_of_files(site: GitSite, tmp_path: Path) -> None:
    uri = site.make("m.git")
    site.commit("m.git", {"a": b"1"})
    one = hashlib.sha256(b"1").hexdigest()
    listed = hashlib.sha256(f"{one}  a\n".encode()).hexdigest()
    terms = Terms(digest=f"sha256:{listed}")
    assert await fetch(uri, tmp_path / "right", terms=terms) == {"a": b"1"}
    with pytest.raises(FetchError, match="the list of its files is"):
        await fetch(uri, tmp_path / "wrong", terms=replace(terms, digest=f"sha256:{one}"))
