"""What all tests share: a text in a file, and the command line."""

import re
import sys

import pytest

from unrolled.threads import wait_briefly

wait_briefly()  # before torch is imported

from helpers import TEXT  # noqa: E402
from unrolled.cli.main import main  # noqa: E402


@pytest.fixture(scope="session")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "tables.txt"
    path.write_text(TEXT)
    return path


@pytest.fixture
def cli(capsys, monkeypatch):
    """Run a command in this process: exit status, what it printed, and its errors, each in one line."""

    def run(*arguments):
        capsys.readouterr()  # what the test itself printed
        monkeypatch.setattr(sys, "argv", ["unrolled", *map(str, arguments)])
        try:
            main()
            status = 0
        except SystemExit as stop:
            status = stop.code or 0
        printed = capsys.readouterr()
        return status, printed.out, re.sub(r"(?<=\S)\n  (?=\S)", " ", printed.err)

    return run
