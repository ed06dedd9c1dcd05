import platform

from shoal.agent import allocations


def test_glibc_takes_what_it_is_told() -> None:
    assert allocations.keep() is (platform.libc_ver()[0] == "glibc")
