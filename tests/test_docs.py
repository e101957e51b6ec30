"""The documentation says what is so: help, options, names, examples."""

import doctest
import re
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
import torch

import unrolled
from unrolled.cli.main import app
from unrolled.options import flag, option_names
from unrolled.tasks.registry import options_class, sample_class, task_names

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


def commands(command=app, names=("unrolled",)):
    yield names, command
    if isinstance(command, click.Group):
        for name, sub in command.commands.items():
            yield from commands(sub, (*names, name))


def test_what_is_generated_is_up_to_date():
    done = subprocess.run([sys.executable, ROOT / "docs" / "generate.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_verb_is_in_the_readme_and_every_option_in_the_docs():
    readme = (ROOT / "README.md").read_text()
    reference = (ROOT / "docs" / "cli.md").read_text()
    for names, command in commands():
        assert len(names) == 1 or f"unrolled {names[1]}" in readme
        for parameter in command.params:
            for option in parameter.opts if isinstance(parameter, click.Option) else ():
                assert option in reference


def test_every_public_name_is_in_the_docs():
    text = "".join(page.read_text() for page in PAGES)
    for name in set(unrolled.__all__) - {"__version__"}:
        assert re.search(rf"\b{name}\b", text), name


TABLES = [(page, name) for page in PAGES for name in re.findall(r"^Task (\w+):$", page.read_text(), re.MULTILINE)]


@pytest.mark.parametrize(("page", "name"), TABLES, ids=[f"{page.name} {name}" for page, name in TABLES])
def test_tables_of_options_are_those_of_the_help(page, name):
    asked = [sys.executable, "-m", "unrolled", "train", "--task", name, "--help"]
    help_ = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    table = re.search(rf"^Task {name}:\n(?:  .*\n)+", help_, re.MULTILINE)
    assert table is not None and table.group() in page.read_text()


def test_options_that_the_docs_name_exist():
    known = {o for _, c in commands() for p in c.params for o in (*p.opts, *p.secondary_opts)} | {"--help"}
    for name in task_names():
        names = [one for kind in (options_class(name), sample_class(name)) for one in option_names(kind)]
        known |= {flag(one) for one in names} | {flag(f"no_{one}") for one in names}
    for page in PAGES:
        for line in re.sub(r"`python [^`]*`", "", page.read_text()).splitlines():
            if "unrolled " in line and "pip" not in line:
                assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", line)) <= known, line


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_examples_at_the_prompt_are_true(page):
    namespace = {"unrolled": unrolled, "torch": torch, "np": np}
    parsed = doctest.DocTestParser().get_doctest(page.read_text(), namespace, page.name, str(page), 0)
    runner = doctest.DocTestRunner(optionflags=doctest.REPORT_ONLY_FIRST_FAILURE)
    runner.run(parsed)
    assert runner.failures == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_and_pictures_are_there(page):
    for target in re.findall(r"\]\(([^)#]+?)(?:#.*?)?\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_every_page_is_linked_from_the_readme():
    readme = (ROOT / "README.md").read_text()
    for page in (ROOT / "docs").glob("*.md"):
        assert f"docs/{page.name}" in readme, page.name
