"""What the tests of tasks share: a text, and a model that has learnt something of it."""

import pytest

import unrolled
from helpers import TEXT, TINY


@pytest.fixture(scope="package")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "tables.txt"
    path.write_text(TEXT)
    return path


@pytest.fixture(scope="package")
def trained(text, tmp_path_factory):
    """A small model that has learnt something."""
    run = tmp_path_factory.mktemp("runs") / "tables"
    options = TINY | {"hidden": 48, "batch": 4, "bptt": 25}
    return unrolled.fit(text, run, epochs=12, **options)
