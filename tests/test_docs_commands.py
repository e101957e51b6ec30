"""Every command and every Python block of the README and the docs works after the README's install.

Commands run in the order of the page, in an environment of the base dependencies alone (``bare.py``), on a small text
under the name that the pages use, and with the budgets that ``RULES`` puts in place of the documented ones.
"""

import json
import math
import random
import re
import shlex
import shutil
import wave
from pathlib import Path

import click
import pytest
from PIL import Image

from bare import ROOT, Bare, installed
from unrolled.cli.main import app

README = ROOT / "README.md"
PAGES = sorted(page for page in (ROOT / "docs").glob("*.md") if page.name != "cli.md")
EXAMPLES = sorted((ROOT / "examples").glob("*_to_*.py"))
BENCHMARKS = ROOT / "benchmarks"

FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROGRAMS = r"(?:[A-Z_]+=\S+ )*(?:unrolled|python|pip|make) "

RULES = (
    # a documented command, and what is run in its place; the first that matches all of it
    (r"pip install statsforecast", ""),  # it takes a minute, and is not needed
    (r"(unrolled train .*--minutes) 3\b(.*)", r"\1 0.02\2"),
    (r"(unrolled train .*--folds) leave-one-out\b(.*?)( --seeds \d)?", r"\1 2\2 --seeds 1 --epochs 1"),
    (r"(unrolled train .*--folds) official\b(.*)", r"\1 official\2 --seeds 1 --epochs 1"),
    (r"(unrolled train .*--epochs) (\d)0\b(.*)", r"\1 \2\3"),
    (r"(unrolled train .*--epochs) (\d)", r"\1 0.\2"),
    (r"unrolled train (?!.*--(minutes|epochs)).*--resume", r"\g<0>"),  # a run that has come to its end
    (r"unrolled train (?!.*--(minutes|epochs)).*", r"\g<0> --minutes 0.02"),  # three by default
    (r"unrolled simulate reads (.*) -n 10000 (.*)", r"unrolled simulate reads \1 -n 20 \2 --length 20"),
    (
        r"unrolled (sample|forecast|classify|transcribe|basecall|caption|score|evaluate|inspect|runs|lesson|doctor)"
        r"\b.*",
        r"\g<0>",
    ),
    (r"unrolled hopfield (store|recall) .*", r"\g<0>"),
    (r"unrolled hopfield tsp .*-o \S+", r"\g<0> --cities 5 --starts 5"),
    (r"unrolled hopfield capacity", r"\g<0> --units 20 --trials 5"),
    (r"unrolled lab", r"\g<0>"),  # the list
    (r"unrolled lab adding", r"\g<0> --cell gru --lag 20 --seeds 1"),  # as below: its seed is kept
    (r"(unrolled lab adding --cell gru --lag) 200 --seeds 3", r"\1 20 --seeds 1"),
    (r"unrolled lab (all|depth|rtrl)", r"\g<0> --help"),  # up to hours; tests/lab runs every experiment
    (r"python examples/\w+\.py", r"\g<0>"),
    (r"unrolled simulate scenes -n 6000 (.*)", r"unrolled simulate scenes -n 40 \1"),
    (r"make (demo|demo-caption|test|test-paths)", r"\g<0> --dry-run"),  # they begin by installing
    (r"pip install -c constraints\.txt -e (\.|['\"]\.\[\w+\]['\"])", ""),  # the environment is what it makes
    (rf"{PROGRAMS}benchmarks/\w+\.py.*", ""),  # minutes each; test_benchmarks_load imports them
)
PICTURES = {
    "gradients.md": ["lesson-gradients.png"],
    "hopfield.md": ["letters/P.png", "recalled.png", "recalled-steps.png", "recalled-energy.png"],
    "inspect.md": ["runs/shakespeare/inspect/*.png", "report/*.png"],
    "lab.md": ["lab/adding.png"],
    "music.md": ["tune.png"],
    "classify.md": ["pictures/*.png"],
}
"""What the commands of a page draw."""


def shortened(line):
    """The command that is run for a documented one; nothing if it is not run."""
    for pattern, instead in RULES:
        if match := re.fullmatch(pattern, line):
            return match.expand(instead)
    raise AssertionError(f"no rule in {Path(__file__).name} says how to run this in a second: {line}")


def blocks(page):
    """The blocks that are run, in order: (kind, commands or source)."""
    for kind, text in FENCED.findall(page.read_text()):
        if kind == "sh":
            yield "commands", [line.split("  #")[0].strip() for line in text.splitlines()]
        elif kind == "console":
            yield "commands", [line[2:] for line in text.splitlines() if line.startswith("$ ")]
        elif kind == "python" and ">>>" not in text and not any(text == e.read_text() for e in EXAMPLES):
            yield "python", text


def in_sentences(page):
    """Commands between backticks; those with a placeholder, and those that need arguments, are only names."""
    for span in re.findall(rf"`({PROGRAMS}[^`]*)`", FENCED.sub("", page.read_text())):
        line = " ".join(span.split())
        if not re.search(r"\b[A-Z]{3,}\b(?!=)|\.\.\.", line) and not is_a_name(line):
            yield line


def is_a_name(line):
    command = app if line.startswith("unrolled ") else None
    for word in line.split()[1:]:
        command = command.commands.get(word) if isinstance(command, click.Group) else None
    takes_arguments = command is not None and any(isinstance(p, click.Argument) for p in command.params)
    return takes_arguments or isinstance(command, click.Group)


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    made = Bare(tmp_path_factory.mktemp("bare"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """With what all tasks need."""
    made = Bare(tmp_path_factory.mktemp("full"), "all")
    yield made
    made.close()


def new_folder(folder):
    """A checkout with a text in it, as the README has it, and with the data of the other tasks."""
    for name in ("examples", "benchmarks", "src", "Makefile", "CMakeLists.txt", "constraints.txt", "pyproject.toml"):
        (folder / name).symlink_to(ROOT / name)
    draw = random.Random(1)
    names = ("ROMEO", "JULIET", "CORIOLANUS")
    words = re.findall(
        r"\S+", "the king and queen speak gently of a cat; quick vexed foxes jump by, what zeal! Him I find"
    )
    speeches = [f"{draw.choice(names)}:\n{' '.join(draw.choices(words, k=12))}.\n\n" for _ in range(300)]
    (folder / "input.txt").write_text("".join(speeches))
    (folder / "letter.txt").write_text("".join(speeches[:10]))
    (folder / "letters.txt").write_text("".join(speeches[:100]).replace("gently", "géntly"))
    names = ("".join(draw.choices("abc", k=draw.randint(2, 8))) for _ in range(100))
    (folder / "names.tsv").write_text("".join(f"{'a' if name[0] == 'a' else 'other'}\t{name}\n" for name in names))
    chords = [[[60 + k % 5, 64 + k % 5, 67] for k in range(draw.randint(8, 20))] for _ in range(30)]
    parts = {"train": chords[:20], "valid": chords[20:25], "test": chords[25:]}
    (folder / "chorales.json").write_text(json.dumps(parts))
    months = [
        f"{1800 + k // 12}-{k % 12 + 1:02}-01,{50 + 40 * math.sin(k / 20) + draw.gauss(0, 5):.1f}" for k in range(900)
    ]
    (folder / "sunspots.csv").write_text("month,spots\n" + "\n".join(months) + "\n")
    sales = [f"{one[:10]},{draw.randint(5, 90)},{draw.random():.2f},{draw.randint(0, 1)}" for one in months[:120]]
    known = [f"{one[:10]},,{draw.random():.2f},{draw.randint(0, 1)}" for one in months[120:150]]
    for name in ("sales.csv", "planned.csv"):
        (folder / name).write_text("month,sales,price,promotion\n" + "\n".join(sales + known) + "\n")
    for part in ("TRAIN", "TEST"):
        header = "@univariate false\n@dimensions 2\n@classlabel true 1 2\n@data\n"
        cases = [
            ":".join(",".join(f"{draw.gauss(k % 2, 1):.2f}" for _ in range(9)) for _ in range(2)) for k in range(12)
        ]
        lines = [f"{case}:{1 + k % 2}" for k, case in enumerate(cases)]
        (folder / f"JapaneseVowels_{part}.ts").write_text(header + "\n".join(lines) + "\n")
    bases = ["".join(draw.choices("acgt", k=20)) for _ in range(40)]
    lines = [f"{'+' if k % 2 else '-'},p{k},\t\t{'tataat' * (k % 2)}{dna}" for k, dna in enumerate(bases)]
    (folder / "promoters.data").write_text("\n".join(lines) + "\n")
    (folder / "new.fasta").write_text("".join(f">n{k}\n{dna}\n" for k, dna in enumerate(bases[:5])))
    (folder / "digits").mkdir()
    for k in range(30):
        pitch, name = 300 + 200 * (k % 3), f"{k % 3 + 6}_theo_{k // 3}"
        tone = [int(9000 * math.sin(2 * math.pi * pitch * t / 8000)) for t in range(1200 + draw.randint(0, 400))]
        with wave.open(str(folder / "digits" / f"{name}.wav"), "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            file.writeframes(b"".join(value.to_bytes(2, "little", signed=True) for value in tone))
    (folder / "genome.fa").write_text(">g\n" + "".join(draw.choices("ACGT", k=300)) + "\n")
    words = [a + b for a in "ACGT" for b in "ACGT"]
    levels = "".join(f"{word}\t{60 + 4 * k}\t1\n" for k, word in enumerate(words))
    (folder / "levels.tsv").write_text("kmer\tlevel_mean\tlevel_stdv\n" + levels)
    (folder / "texts").mkdir()
    (folder / "texts" / "input.txt").write_text("".join(speeches))  # where it has moved
    return folder


def run(bare, line, folder, as_installed=False):
    """It succeeds without a word of complaint.

    Arguments:
        as_installed: also a command that is nothing but ``unrolled`` and its arguments is given to the shell.
    """
    is_plain = line.startswith("unrolled ") and not re.search(r"[|<>&;*?$`~]", line)
    done = bare.run_forked(shlex.split(line), folder) if is_plain and not as_installed else bare.run(line, folder)
    assert (done.returncode, done.stderr) == (0, ""), f"{line}\n{done.stdout}\n{done.stderr}"


def follow(bare, page, folder, as_installed=False):
    """Everything on the page that can be run, in its order; ``as_installed`` as in `run`."""
    for kind, content in blocks(page):
        if kind == "commands":
            for line in filter(None, map(shortened, content)):
                run(bare, line, folder, as_installed)
        else:
            (folder / "block.py").write_text(content.replace("minutes=3", "minutes=0.02"))
            run(bare, "python block.py", folder)


def drawn(folder, *patterns):
    """These pictures are there, and not blank."""
    for pattern in patterns:
        found = list(folder.glob(pattern))
        assert found, f"no {pattern}"
        for file in found:
            with Image.open(file) as picture:
                assert len(picture.convert("L").getcolors()) > 1, f"{file.name} is blank"


@pytest.fixture(scope="module")
def home(bare, tmp_path_factory):
    """The folder of somebody who has followed the README to its end."""
    folder = new_folder(tmp_path_factory.mktemp("readme"))
    follow(bare, README, folder, as_installed=True)
    return folder


def test_nothing_else_can_be_imported(bare, tmp_path):
    inside = installed()
    assert {"torch", "matplotlib", "pillow"} <= set(inside)
    code = "import sys; from importlib.metadata import distributions as d; print(*{x.name for x in d()})"
    there = bare.run(f'python -c "{code}"', tmp_path).stdout.split()
    assert {name.lower().replace("_", "-") for name in there} == set(inside)
    for name in ("pytest", "hypothesis", "mypy", "xdist"):
        assert f"No module named '{name}'" in bare.run(f"python -c 'import {name}'", tmp_path).stderr


def test_the_readme_works_to_its_end(home):
    assert (home / "runs" / "shakespeare" / "model.safetensors").exists()
    assert (home / "runs" / "first" / "model.safetensors").exists()


@pytest.mark.parametrize("page", [p for p in PAGES if any(blocks(p))], ids=lambda p: p.name)
def test_every_page_works(page, bare, full, home, tmp_path):
    """After the README's first use: its run is there. The pages of tasks tell what else to install."""
    folder = new_folder(tmp_path)
    shutil.copytree(home / "runs" / "shakespeare", folder / "runs" / "shakespeare")
    follow(full if "-e '.[" in page.read_text() else bare, page, folder)
    drawn(folder, *PICTURES.get(page.name, ()))


def test_commands_in_sentences_work(bare, home):
    pages = (README, *PAGES)
    in_blocks = {line for page in pages for kind, lines in blocks(page) if kind == "commands" for line in lines}
    lines = {line: None for page in pages for line in in_sentences(page)}
    assert len(lines) > 10
    for line in filter(None, map(shortened, [line for line in lines if line not in in_blocks])):
        run(bare, line, home)
    drawn(home, "capacity.png", "tour.png")


def test_commands_are_marked_as_such():
    """Commands stand in blocks marked sh, or behind $ in those marked console: so none is passed over."""
    for page in (README, *PAGES):
        for kind, text in FENCED.findall(page.read_text()):
            if kind == "sh":
                assert all(re.match(PROGRAMS, line) for line in text.splitlines()), page.name
            else:
                assert kind in ("console", "python", ""), f"{page.name}: {kind}"
                assert not re.search(rf"^{PROGRAMS}", text, re.MULTILINE), f"{page.name}: {text}"
                assert kind == "console" or not re.search(r"^\$ ", text, re.MULTILINE), f"{page.name}: {text}"


def test_a_command_without_a_rule_fails():
    for line in ("unrolled lab latch", "unrolled train input.txt --run r --minutes 60", "curl example.org"):
        with pytest.raises(AssertionError, match="no rule"):
            shortened(line)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda p: p.stem)
def test_examples_of_the_graphs_run_and_learn(example, bare, tmp_path):
    lines = bare.run(f"python {example}", tmp_path).stdout.splitlines()
    if example.stem == "many_to_many":
        assert int(re.match(r"(\d+)% right", lines[-1])[1]) > 95
    elif example.stem == "many_to_one":
        assert float(re.match(r"([\d.]+)% of 1,000", lines[-1])[1]) > 95
    elif example.stem == "one_to_many":
        names = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
        assert [line.split()[2] for line in lines] == names
    else:
        assert [line[-1] for line in lines] == list("0110")


def test_benchmarks_load(bare, tmp_path):
    """They run for minutes, so here they are only loaded; the options that the pages name are theirs."""
    text = "".join(page.read_text() for page in (README, *PAGES))
    lines = {" ".join(line.split()) for line in re.findall(r"python (benchmarks/[^`#)]*?)[`\n#]", text)}
    for line in lines:
        script, *words = line.split()
        for option in (word for word in words if word.startswith("--")):
            assert f'"{option}"' in (ROOT / script).read_text(), line
    scripts = sorted({line.split()[0] for line in lines})
    assert len(scripts) > 5
    load = f"import runpy, sys; sys.path.insert(0, {str(BENCHMARKS)!r}); [runpy.run_path(p) for p in sys.argv[1:]]"
    done = bare.run(f"python -c {shlex.quote(load)} {' '.join(str(ROOT / script) for script in scripts)}", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_examples_in_the_help_can_be_parsed():
    reference = (ROOT / "docs" / "cli.md").read_text()
    examples = [" ".join(e.split()) for e in re.findall(r"Example: (.*?)\n```", reference, re.DOTALL)]
    assert len(examples) > 15
    for example in examples:
        command, context = app, None
        program, *words = shlex.split(example)
        assert program == "unrolled"
        while isinstance(command, click.Group):
            name, command, words = command.resolve_command(click.Context(app), words)
        command.make_context(name, words, context)
