"""What all tests share: a text in a file."""

import pytest

from helpers import TEXT


@pytest.fixture(scope="session")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "tables.txt"
    path.write_text(TEXT)
    return path
