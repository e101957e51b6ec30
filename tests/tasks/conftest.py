"""What the tests of tasks share: a model that has learnt something of the text."""

import pytest

import unrolled
from helpers import TINY


@pytest.fixture(scope="package")
def trained(text, tmp_path_factory):
    """A small model that has learnt something."""
    run = tmp_path_factory.mktemp("runs") / "tables"
    options = TINY | {"hidden": 48, "batch": 4, "bptt": 25}
    return unrolled.fit(text, run, epochs=12, **options)
