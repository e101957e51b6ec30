"""What all tests share: a text in a file."""

import pytest

from unrolled.threads import wait_briefly

wait_briefly()  # before torch is imported

from helpers import TEXT  # noqa: E402


@pytest.fixture(scope="session")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "tables.txt"
    path.write_text(TEXT)
    return path
