"""What the tests of all verbs share."""

import sys

import pytest

from unrolled.cli.main import main


@pytest.fixture
def cli(capsys, monkeypatch):
    """Run a command in this process: exit status, what it printed, and its errors."""

    def run(*arguments):
        capsys.readouterr()  # what the test itself printed
        monkeypatch.setattr(sys, "argv", ["unrolled", *map(str, arguments)])
        try:
            main()
            status = 0
        except SystemExit as stop:
            status = stop.code or 0
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run
