"""An environment that holds what the README installs, and nothing else. Nothing is downloaded to make it."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import venv
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]


def installed(extra: str | None = None) -> dict[str, Distribution]:
    """What `pip install .` brings along: the dependencies that pyproject.toml names, and all of theirs.

    Arguments:
        extra: the name of one that is installed as well.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = {"unrolled": distribution("unrolled")}
    lines = project["dependencies"] + (project["optional-dependencies"][extra] if extra else [])
    wanted = [Requirement(line) for line in lines]
    while wanted:
        requirement = wanted.pop()
        name = canonicalize_name(requirement.name)
        if name in found or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        found[name] = distribution(name)
        wanted += map(Requirement, found[name].requires or ())
    return found


class Bare:
    """A virtual environment whose packages are links to those of this one."""

    def __init__(self, folder: Path, extra: str | None = None) -> None:
        self.bin = folder / "bin"
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
        mine = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
        path = f"{self.bin}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            command,
            shell=True,
            cwd=cwd,
            env=mine | {"PATH": path, "PYTHONNOUSERSITE": "1", "OMP_NUM_THREADS": "1", "COLUMNS": "80"},
            capture_output=True,
            text=True,
            timeout=300,
        )


if __name__ == "__main__":
    Bare(Path(sys.argv[1]))
