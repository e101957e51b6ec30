"""Equal contents, equal bytes: what a run leaves does not depend on the order of a hash table."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file

from unrolled.runs.arrays import read_arrays, write_arrays

CODE = """
import sys, numpy, torch, unrolled
from pathlib import Path
from unrolled.hopfield import Hopfield, memory
from unrolled.runs.arrays import write_arrays

class Own(unrolled.Cell):
    state = ("h",)
    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.x = unrolled.Gates("a", input_size, hidden_size)
    def step(self, x, h):
        return torch.tanh(self.x(x) + 0.5 * h)

out = Path(sys.argv[1])
Path("text.txt").write_text("a word and a word, again; a word and a word, again. " * 40)
for units, cell in (("characters", "lstm"), ("words", Own)):
    settings = dict(epochs=1, hidden=4, batch=2, bptt=10, threads=1, units=units, cell=cell)
    unrolled.fit("text.txt", out / units, **settings)
memory.save(Hopfield(numpy.sign(numpy.arange(-4, 4) + 0.5)[None]), out / "memory")
write_arrays(out / "arrays", {name: numpy.zeros(3) for name in "zyxabc"}, {name: name for name in "qwertz"})
"""

WALL_CLOCK = {"history.jsonl", "resume.safetensors"}


def test_what_is_kept_is_the_same_in_every_process(tmp_path):
    kept = []
    for seed in ("1", "2"):
        out = tmp_path / seed
        out.mkdir()
        env = os.environ | {"PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1"}
        subprocess.run([sys.executable, "-c", CODE, str(out)], check=True, cwd=tmp_path, env=env)
        files = {str(p.relative_to(out)): p for p in sorted(out.rglob("*")) if p.is_file()}
        kept.append({name: p.read_bytes() for name, p in files.items() if p.name not in WALL_CLOCK})
    assert {"words/program.json", "words/model.safetensors", "memory", "arrays"} <= set(kept[0])
    assert kept[0] == kept[1]


@pytest.mark.parametrize("k", range(5))
def test_the_header_is_in_order_and_any_reader_opens_it(tmp_path, k):
    """The library's own order changes from call to call."""
    path = tmp_path / f"{k}.safetensors"
    arrays = {"b": np.arange(6.0).reshape(2, 3), "a.ü": np.array([1, 2], dtype=np.int8), "é": np.float32(3)}
    write_arrays(path, arrays, {"z": 1, "a": "“quoted” \\ \n", "n": None})
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    assert size % 8 == 0
    assert list(header["__metadata__"]) == ["json", "sha256"] and list(header) == sorted(header)
    back, about = read_arrays(path)
    assert about == {"z": 1, "a": "“quoted” \\ \n", "n": None}
    for loaded in (back, load_file(path)):
        assert set(loaded) == set(arrays)
        assert all(np.array_equal(loaded[name], array) for name, array in arrays.items())
