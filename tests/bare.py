"""An environment that holds what the README installs, and nothing else. Nothing is downloaded to make it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tomllib
import venv
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]

PATIENCE = 300
"""Seconds until a command counts as hung."""

FORKS = f"""
import json, os, signal, sys, torch
from unrolled.cli.main import main
for line in sys.stdin:
    sys.argv, cwd, out, err = json.loads(line)
    child = os.fork()
    if child == 0:
        signal.alarm({PATIENCE})
        os.chdir(cwd)
        for number, (path, flags) in enumerate(((os.devnull, os.O_RDONLY), (out, os.O_WRONLY), (err, os.O_WRONLY))):
            os.dup2(os.open(path, flags), number)
        main()
        sys.exit()
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def installed(extra: str | None = None) -> dict[str, Distribution]:
    """What `pip install .` brings along: the dependencies that pyproject.toml names, and all of theirs.

    Arguments:
        extra: the name of one that is installed as well.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = {"unrolled": distribution("unrolled")}
    wanted = [Requirement(line) for line in project["dependencies"]] + (_extra(project, extra) if extra else [])
    while wanted:
        requirement = wanted.pop()
        name = canonicalize_name(requirement.name)
        if name in found or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        found[name] = distribution(name)
        wanted += map(Requirement, found[name].requires or ())
    return found


def _extra(project: dict, name: str) -> list[Requirement]:
    """What an extra of this project asks for; it may name others."""
    found = []
    for requirement in map(Requirement, project["optional-dependencies"][name]):
        inner = requirement.extras if requirement.name == project["name"] else ()
        found += [one for other in inner for one in _extra(project, other)] if inner else [requirement]
    return found


class Bare:
    """A virtual environment whose packages are links to those of this one."""

    def __init__(self, folder: Path, extra: str | None = None) -> None:
        self.bin = folder / "bin"
        self._server: subprocess.Popen | None = None
        venv.create(folder, symlinks=True, with_pip=False)
        (site,) = folder.glob("lib/python*/site-packages")
        for package in installed(extra).values():
            for top in {file.parts[0] for file in package.files or ()} - {"..", "__pycache__"}:
                if not (site / top).exists():  # a namespace such as nvidia belongs to several
                    (site / top).symlink_to(package.locate_file(top))
        script = self.bin / "unrolled"
        script.write_text(
            f"#!{self.bin / 'python'}\nfrom unrolled.cli.main import main\n\nif __name__ == '__main__':\n    main()\n"
        )
        script.chmod(0o755)

    def run(self, command: str, cwd: Path) -> subprocess.CompletedProcess:
        """A line at the shell, with this environment activated."""
        return subprocess.run(
            command, shell=True, cwd=cwd, env=self._environment(), capture_output=True, text=True, timeout=PATIENCE
        )

    def run_forked(self, words: list[str], cwd: Path) -> subprocess.CompletedProcess:
        """The words of an ``unrolled`` command, in a fork of a process of this environment that has imported torch.

        The import takes most of a short command's time. Where there are no forks it is a line at the shell.
        """
        if not hasattr(os, "fork"):
            return self.run(shlex.join(words), cwd)
        if self._server is None:
            pipe = subprocess.PIPE
            python = [self.bin / "python", "-P", "-c", FORKS]
            self._server = subprocess.Popen(python, stdin=pipe, stdout=pipe, text=True, env=self._environment())
        out, err = self.bin / "stdout", self.bin / "stderr"
        for file in (out, err):
            file.write_text("")
        print(json.dumps([words, str(cwd), str(out), str(err)]), file=self._server.stdin, flush=True)
        return subprocess.CompletedProcess(
            words, int(self._server.stdout.readline()), out.read_text(), err.read_text()
        )

    def close(self) -> None:
        """End the process that is forked."""
        if self._server is not None:
            self._server.communicate()

    def _environment(self) -> dict[str, str]:
        mine = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
        path = f"{self.bin}{os.pathsep}{os.environ['PATH']}"
        return mine | {"PATH": path, "PYTHONNOUSERSITE": "1", "OMP_NUM_THREADS": "1", "COLUMNS": "80"}


if __name__ == "__main__":
    Bare(Path(sys.argv[1]))
