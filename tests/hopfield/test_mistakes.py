"""Bad input is refused in one sentence that says what to do, or warned of with the figure."""

import numpy as np
import pytest
import torch

import unrolled
from unrolled.errors import RunError, UsageError
from unrolled.hopfield import memory
from unrolled.hopfield.capacity import critical_load, measure
from unrolled.runs.arrays import read_arrays, write_arrays

TWO = [[1.0, -1, 1, -1, 1, 1, -1, 1, 1, 1, 1, 1, 1, 1, 1]]


@pytest.mark.parametrize(
    ("patterns", "settings", "message"),
    [
        ([np.ones((2, 3)), np.ones((3, 3))], {}, "first is 2 x 3, number 2 is 3 x 3"),
        ([[1, -1], [1, -1, 1]], {}, "different sizes"),
        ([[1, 0, 1]], {}, "must be -1 or 1, one value is 0; for zeros and ones, give"),
        ([[0.5, -1]], {}, "graded"),
        ([[0.5, -1.5]], {"units": "graded"}, "from -1 to 1, one value is -1.5"),
        ([[0.5, -0.5]], {"units": "graded", "phi": "logistic"}, "from 0 to 1"),
        ([[1, float("nan")]], {"units": "graded"}, "not a finite number"),
        ([], {}, "empty"),
        (np.ones((0, 4)), {}, "empty"),
        ("pattern", {}, "numbers"),
        (None, {}, "numbers"),
        (np.ones((2, 15), dtype=complex), {}, "numbers"),
        (TWO, {"rule": "hopfield"}, "hebb, storkey"),
        (TWO, {"units": "spins"}, "binary, graded"),
        (TWO, {"phi": "relu"}, "tanh, logistic"),
        (TWO, {"gain": 0}, "gain must be a number above 0"),
        (TWO, {"gain": float("inf")}, "gain"),
        (TWO, {"tau": -1}, "tau"),
        (TWO, {"threshold": [1, 2]}, "threshold has 2 values.*15 units"),
        (TWO, {"threshold": "high"}, "threshold"),
        (TWO, {"dtype": torch.int64}, "dtype"),
        (TWO, {"rule": "dense", "units": "graded"}, "binary units"),
        (TWO, {"rule": "softmax", "units": "graded", "threshold": 1.0}, "no thresholds"),
        (TWO, {"options": {"margin": 1.0}}, "'hebb' has no option 'margin'"),
        (TWO, {"rule": "perceptron", "options": {"margin": -1.0}}, "margin"),
        (TWO, {"rule": "dense", "options": {"degree": 1}}, "degree"),
    ],
)
def test_what_cannot_be_stored(patterns, settings, message):
    with pytest.raises(UsageError, match=message):
        unrolled.Hopfield(patterns, **settings)


@pytest.mark.parametrize(
    ("state", "settings", "message"),
    [
        ([1.0, -1], {}, "2 units, the network has 15"),
        ([0.5] * 15, {}, "states of binary units"),
        (TWO, {"update": "parallel"}, "asynchronous, synchronous"),
        (TWO, {"order": "sorted"}, "random, fixed"),
        (TWO, {"update": "continuous"}, "graded"),
        (TWO, {"update": "damped"}, "graded"),
        (TWO, {"steps": 0}, "steps"),
        (TWO, {"frames": 1.5}, "frames"),
        (TWO, {"seed": -1}, "seed"),
        (TWO, {"rate": 0}, "rate"),
        (TWO, {"time": float("nan")}, "time"),
    ],
)
def test_what_cannot_be_recalled(state, settings, message):
    with pytest.raises(UsageError, match=message):
        unrolled.Hopfield(TWO).recall(state, **settings)


def test_too_many_patterns_are_warned_of_with_the_figure():
    patterns = torch.randint(0, 2, (20, 100), generator=torch.Generator().manual_seed(1)) * 2 - 1
    with pytest.warns(UserWarning, match=r"20 patterns in 100 units; the hebb rule can store about 13.8"):
        unrolled.Hopfield(patterns)
    with pytest.warns(UserWarning, match=r"can store about 1\.38"):
        net = unrolled.Hopfield(patterns[:2, :10])
    with pytest.warns(UserWarning, match="3 patterns in 10 units"):
        net.add(patterns[2, :10])
    with pytest.warns(UserWarning, match=r"perceptron rule left \d+ of 2 patterns unstable"):
        unrolled.Hopfield([[1, 1], [1, -1]], rule="perceptron", options={"epochs": 5})


def test_removing_and_given_weights():
    net = unrolled.Hopfield(TWO)
    for index in (1, -1, "0"):
        with pytest.raises(UsageError, match=f"there is no pattern {index!r} to remove; there are 1, counted from 0"):
            net.remove(index)
    with pytest.raises(UsageError, match="the last pattern cannot be removed"):
        net.remove(0)
    with pytest.raises(UsageError, match="2 units, the network has 15"):
        net.add([1.0, -1])
    with pytest.raises(UsageError, match=r"\(2, 3\).*\(N, N\)"):
        unrolled.Hopfield.from_weights(torch.zeros(2, 3))
    given = unrolled.Hopfield.from_weights(torch.zeros(2, 2))
    with pytest.raises(UsageError, match="was given"):
        given.add([1.0, 1.0])
    with pytest.raises(UsageError, match="learning rule"):
        given.capacity()
    dense = unrolled.Hopfield(TWO, rule="dense")
    for refused in (lambda: dense.weights, dense.safety):
        with pytest.raises(UsageError, match="no matrix W"):
            refused()


def test_it_says_what_it_is():
    assert repr(unrolled.Hopfield(TWO * 2)) == "Hopfield(2 patterns of 15 units, rule='hebb', units='binary')"
    graded = unrolled.Hopfield(TWO, units="graded", gain=2.0, rule="projection")
    assert repr(graded).endswith("rule='projection', units='graded', gain=2, phi='tanh')")


def test_states_come_in_many_forms():
    net = unrolled.Hopfield(TWO)
    row = TWO[0]
    for x, shape in (
        (row, (15,)),
        (np.array(row, dtype=np.int8), (15,)),
        ([np.array(row), np.array(row)], (2, 15)),
        ([torch.tensor(row)], (1, 15)),
        (np.array(row).reshape(3, 5), (1, 15)),
        (torch.tensor(row, requires_grad=True), (15,)),
    ):
        state = net.recall(x).state
        assert state.shape == shape and bool((state.reshape(-1, 15) == torch.tensor(row)).all())
    assert net.energy(row) == -0.5 * 14  # Hebb's weights are 1/15 of the products, without the diagonal
    assert net.energy([row, row]).tolist() == [net.energy(row)] * 2


def test_capacity_mistakes():
    for settings, reason in (
        ({"units": 1}, "units must be a whole number from 2, got 1"),
        ({"rule": "x"}, "rule must be one of hebb, .*; got 'x'"),
        ({"flips": 2}, "flips must be a share from 0 to 1, got 2"),
        ({"trials": 0}, "trials must be a whole number from 1, got 0"),
        ({"loads": [0]}, "a load is a whole number of patterns from 1, got 0"),
        ({"loads": [1.5]}, "a load is a whole number of patterns from 1, got 1.5"),
    ):
        with pytest.raises(UsageError, match=f"^Hopfield: {reason}$"):
            measure(**({"units": 20} | settings))
    with pytest.raises(UsageError, match="50 units"):
        critical_load(10)
    with pytest.raises(UsageError, match="without thresholds"):
        unrolled.Hopfield(TWO, threshold=5.0).capacity()


def test_capacity_is_that_of_a_network_like_this_one():
    patterns = torch.ones(1, 20)
    cold, hot = (unrolled.Hopfield(patterns, rule="softmax", gain=gain) for gain in (4.0, 1e-3))
    assert cold.capacity(loads=30, trials=20).points[0].rate > 0.8
    assert hot.capacity(loads=30, trials=20).points[0].rate < 0.2


def test_numbers_of_numpy_are_numbers():
    net = unrolled.Hopfield(TWO * 2, units="graded", gain=np.float32(2))
    net.remove(np.int64(0))
    assert net.recall(TWO[0], steps=np.int64(3), frames=99).steps[0] <= 3
    assert len(measure(20, np.arange(2, 6, 2), trials=2).points) == 2
    for wrong in ({"rate": "a"}, {"time": None}, {"steps": True}):
        with pytest.raises(UsageError, match=next(iter(wrong))):
            net.recall(TWO[0], **wrong)
    with pytest.raises(UsageError, match="no pattern True"):
        net.remove(True)


@pytest.mark.parametrize(
    "settings",
    [
        {"rule": "storkey", "threshold": 0.1},
        {"rule": "perceptron", "options": {"margin": 0.2}},
        {"rule": "softmax", "units": "graded", "gain": 0.3},
        {"units": "graded", "phi": "logistic", "dtype": torch.float32},
    ],
)
def test_a_memory_is_what_it_was_after_saving(tmp_path, settings):
    patterns = torch.randint(0, 2, (4, 60), generator=torch.Generator().manual_seed(1)) * 2.0 - 1
    if settings.get("phi") == "logistic":
        patterns = (patterns + 1) / 2
    net = unrolled.Hopfield(patterns, **settings)
    memory.save(net, tmp_path / "memory", {"names": ["a"]})
    again, about = memory.load(tmp_path / "memory")
    assert about == {"names": ["a"]} and again.dtype == net.dtype
    update = "synchronous" if net.rule == "softmax" else "asynchronous"
    start = patterns.clone()
    start[:, :9] = patterns.flip(0)[:, :9]
    a, b = net.recall(start, update=update), again.recall(start, update=update)
    assert torch.equal(a.state, b.state) and torch.equal(a.energy, b.energy)


def test_given_weights_are_saved_too(tmp_path):
    net = unrolled.Hopfield.from_weights([[0.0, 2], [2, 0]], threshold=0.5)
    memory.save(net, tmp_path / "memory")
    again, _ = memory.load(tmp_path / "memory")
    assert torch.equal(again.weights, net.weights) and torch.equal(again.threshold, net.threshold)
    assert len(again.patterns) == 0


def test_what_is_no_memory(tmp_path):
    path = tmp_path / "memory"
    with pytest.raises(RunError, match="there is no file"):
        memory.load(path)
    path.write_bytes(b"nonsense")
    with pytest.raises(RunError, match="not a Hopfield memory"):
        memory.load(path)
    from safetensors.numpy import save_file

    save_file({"a": np.ones(3)}, path)
    with pytest.raises(RunError, match="not a Hopfield memory"):
        memory.load(path)
    with pytest.raises(RunError, match="is a folder"):
        memory.load(tmp_path)


@pytest.mark.parametrize(
    ("lost", "settings", "reason"),
    [
        ("patterns", {}, "'patterns'"),
        ("threshold", {}, "'threshold'"),
        (None, {"dtype": "nn"}, "Hopfield: dtype must be torch.float64 or torch.float32, got .*"),
        (None, {"rule": 7}, "Hopfield: rule must be one of hebb, .*; got 7"),
        (None, {"colour": 1}, ".*unexpected keyword argument 'colour'"),
    ],
)
def test_a_memory_that_holds_no_network(tmp_path, lost, settings, reason):
    path = tmp_path / "memory"
    memory.save(unrolled.Hopfield(TWO), path)
    arrays, content = read_arrays(path)
    arrays.pop(lost, None)
    content["settings"] |= settings
    write_arrays(path, arrays, content)
    with pytest.raises(RunError, match=rf"damaged: it does not hold a valid network \({reason}\)$"):
        memory.load(path)
