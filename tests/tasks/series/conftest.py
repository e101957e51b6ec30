"""What the tests of series share: no AutoETS, which takes a second for each origin, but where it is asked for."""

import pytest

from unrolled.series import ets


@pytest.fixture(autouse=True, scope="package")
def no_auto_ets():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ets, "is_installed", lambda: False)
        yield
