"""From a network's outputs to bases, their steps and their qualities."""

import itertools
from functools import partial

import numpy as np
import pytest
import torch

import unrolled
from unrolled.tasks.transcribe.hearing import outputs_of
from unrolled.tasks.transcribe.reads.calling import beam_call, greedy_call, qualities
from unrolled.tasks.transcribe.reads.files import Signal, write_fast5
from unrolled.tasks.transcribe.reads.pieces import in_pieces
from unrolled.tasks.transcribe.reads.simulated import Pore, simulated

pytest.importorskip("h5py")
pytest.importorskip("pyfastx")
pytest.importorskip("edlib")


def test_a_beam_and_the_greedy_path_agree_where_all_is_clear():
    pytest.importorskip("fast_ctc_decode")
    import torch

    path = [0, 1, 1, 0, 1, 3, 3, 2, 0, 4, 0]
    outputs = 8 * torch.nn.functional.one_hot(torch.tensor(path), 5).float()
    labels, quality, steps = greedy_call(outputs)
    assert labels == [1, 1, 3, 2, 4] and len(quality) == 5 and min(quality) >= 20 and steps == [1, 4, 5, 7, 9]
    assert beam_call(outputs, 5).labels == labels and beam_call(outputs, 5).steps == steps


def read_of(posterior, call):
    """A call that looks at samples which are the numbers of steps."""
    return lambda samples: call(posterior[torch.from_numpy(samples[::3] // 3)])


@pytest.mark.parametrize("call", [greedy_call, lambda outputs: beam_call(outputs, 5)])
@pytest.mark.parametrize("samples", [1, 700, 701, 899, 900, 901, 5000])
def test_pieces_make_the_whole(call, samples):
    pytest.importorskip("fast_ctc_decode")
    random = np.random.default_rng(0)
    path = np.eye(5)[random.integers(5, size=1700)]
    posterior = torch.from_numpy(9 * path + random.normal(size=(1700, 5))).float()
    looking = read_of(posterior, call)
    read = np.arange(samples)
    whole = in_pieces(read, 3, looking)
    assert in_pieces(read, 3, looking, piece=701, overlap=100) == whole == looking(read)


def test_pieces_without_a_base_that_both_have_are_joined_in_the_middle():
    posterior = torch.full((400, 3), -9.0)
    posterior[:, 0] = 0
    posterior[100, 1] = posterior[300, 2] = 9
    assert in_pieces(np.arange(1200), 3, read_of(posterior, greedy_call), piece=700, overlap=100).steps == [100, 300]


@pytest.mark.parametrize("beam", [1, 5])
def test_a_long_read_is_called_in_pieces_as_it_is_whole(beam, pore, genome, levels, tmp_path, monkeypatch):
    run, _ = pore
    (read,) = simulated([("g", genome[1])], Pore(levels, shape=20), 1, 4000)
    write_fast5(tmp_path / "a.fast5", [Signal("r", read.current, 4000.0)])
    trained = unrolled.load(run)
    ((whole, _),) = trained.basecall(tmp_path, beam)
    sizes = []

    def seen(model, sounds, front):
        sizes.extend(map(len, sounds))
        return outputs_of(model, sounds, front)

    monkeypatch.setattr("unrolled.tasks.transcribe.trained.in_pieces", partial(in_pieces, piece=2000, overlap=500))
    monkeypatch.setattr("unrolled.tasks.transcribe.trained.outputs_of", seen)
    ((joined, _),) = trained.basecall(tmp_path, beam)
    assert len(sizes) > 20 and max(sizes) == 2000
    _, bases, _, quality = whole.splitlines()
    _, same, _, about = joined.splitlines()
    assert len(bases) > 3000
    if beam == 1:
        assert bases == same
        assert max(abs(ord(a) - ord(b)) for a, b in zip(quality, about, strict=True)) <= 1  # as they are rounded
    else:  # of several thousand bases, those that a beam full of doubts of long ago decides may differ
        assert pytest.importorskip("edlib").align(bases, same)["editDistance"] <= 5


@pytest.mark.parametrize("seed", range(8))
def test_steps_and_qualities_are_those_of_the_likeliest_path(seed):
    pytest.importorskip("fast_ctc_decode")
    outputs = torch.from_numpy(np.random.default_rng(seed).normal(size=(7, 3)) * 2).float()
    found, p = beam_call(outputs, 5), torch.softmax(outputs, 1).double().numpy()

    def runs(path):
        steps = np.flatnonzero(np.diff(path, prepend=-1))
        return [(path[t], t, n) for t, n in zip(steps, [*steps[1:], 7], strict=True) if path[t]]

    paths = [path for path in itertools.product(range(3), repeat=7) if [r[0] for r in runs(path)] == found.labels]
    best = runs(max(paths, key=lambda path: np.log(p[np.arange(7), path]).sum()))
    assert found.steps == [start for _, start, _ in best]
    assert found.qualities == qualities(np.array([p[start:end, label].max() for label, start, end in best]))
