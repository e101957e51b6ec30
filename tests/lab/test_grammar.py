"""The embedded Reber grammar against a regular expression and a graph written down a second time."""

import re

import numpy as np
import pytest
import torch

from unrolled.lab import grammar


def language():
    """Reber's grammar by hand. Behind BT S* X or BP T* V: the two loops that meet at the nodes behind X and V.

    From the node behind T S* X: S E, or X and then the lower loop. From the lower loop T* V: V E, or P and
    then the node behind the upper X.
    """
    lower = "T*V"
    inner = f"B(?:TS*X(?:X{lower}P)*(?:S|X{lower}V)|P{lower}(?:PX{lower})*(?:V|PS))E"
    return re.compile(f"B(?:T{inner}T|P{inner}P)E")


TABLE = {  # a second copy of the graph: node -> symbol -> node, from Cleeremans, Servan-Schreiber & McClelland (1989)
    "0": {"B": "1"},
    "1": {"T": "2", "P": "3"},
    "2": {"S": "2", "X": "4"},
    "3": {"T": "3", "V": "5"},
    "4": {"X": "3", "S": "6"},
    "5": {"P": "4", "V": "6"},
    "6": {"E": "end"},
}


def legal_by_hand(string):
    """The legal successors behind each symbol, by walking TABLE inside the outer pair."""
    found, node = ["TP", "B"], "0"
    for symbol in string[2:-2]:
        node = TABLE[node][symbol]
        found.append("".join(TABLE[node]) if node != "end" else string[1])
    return [*found, "E", ""]


@pytest.fixture(scope="module")
def strings():
    return grammar.draw_many(3000, np.random.default_rng(0))


def test_strings_belong_to_the_language(strings):
    pattern = language()
    for string in strings:
        assert pattern.fullmatch(string), string
    assert min(map(len, strings)) == 9
    assert len(set(strings)) > 300


def test_the_length_is_as_expected(strings):
    """The expected number of steps from each node to the end solves a linear equation."""
    assert np.mean([len(s) for s in strings]) == pytest.approx(expected_length(), abs=0.25)


def expected_length():
    names = list(TABLE)
    A, b = np.eye(len(names)), np.ones(len(names))
    for k, name in enumerate(names):
        for to in TABLE[name].values():
            if to != "end":
                A[k, names.index(to)] -= 1 / len(TABLE[name])
    return 4 + np.linalg.solve(A, b)[0]


def test_legal_successors(strings):
    for string in strings:
        assert [set(s) for s in grammar.legal_next(string)] == [set(s) for s in legal_by_hand(string)], string


def test_what_comes_is_legal_and_both_edges_are_taken_equally_often(strings):
    seen = {}
    for string in strings:
        for legal, symbol in zip(grammar.legal_next(string)[:-1], string[1:], strict=True):
            assert symbol in legal
            seen.setdefault("".join(sorted(legal)), []).append(symbol)
    for legal, symbols in seen.items():
        for symbol in legal:
            assert symbols.count(symbol) / len(symbols) == pytest.approx(1 / len(legal), abs=0.04), legal


@pytest.mark.parametrize("string", ["BTBTXSEPE", "BTBTXSETT", "BTX", "T", "BTBTXSETEB"])
def test_other_strings_are_refused(string):
    with pytest.raises(ValueError, match="nodes: symbol"):
        grammar.nodes(string)


def test_encoded_batches(strings):
    batch, legal = grammar.encode(strings[:20])
    for n, string in enumerate(strings[:20]):
        steps = batch.lengths[n]
        read = [*batch.inputs[:steps, n], batch.targets[steps - 1, n]]
        assert "".join(grammar.SYMBOLS[k] for k in read) == string
        assert torch.equal(batch.inputs[1:steps, n], batch.targets[: steps - 1, n])
        assert batch.mask[:, n].tolist() == [t < steps for t in range(len(legal))]
        for t, allowed in enumerate(legal_by_hand(string)[:-1]):
            assert {grammar.SYMBOLS[k] for k in legal[t, n].nonzero().flatten()} == set(allowed)
        assert not legal[steps:, n].any()


def test_streams_are_strings_one_behind_another():
    streams = grammar.Streams(3, np.random.default_rng(1))
    parts = [streams.take(k) for k in (1, 700, 299)]  # cut anywhere, also within a string
    symbols, legal = torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])
    for n in range(3):
        text = "".join(grammar.SYMBOLS[k] for k in symbols[:, n])
        ends = [m.end() for m in language().finditer(text)]
        assert len(ends) > 50
        assert re.fullmatch(f"(?:{language().pattern})+", text[: ends[-1]])
        assert legal[:-1, n].gather(1, symbols[1:, n, None]).all()  # what comes is legal
        assert {grammar.SYMBOLS[k] for k in legal[ends[0] - 1, n].nonzero().flatten()} == {"B"}  # behind an end


def test_training_strings_are_not_in_the_test_set():
    rng = np.random.default_rng(2)
    train = grammar.draw_many(256, rng)
    assert not set(train) & set(grammar.draw_many(256, rng, without=set(train)))


def test_predicted_wants_every_legal_symbol_above_every_other():
    legal = torch.tensor([False, True, True, False, False, False, False])
    right = torch.tensor([0.0, 0.5, 0.4, 0.1, 0.0, 0.0, 0.0])
    assert grammar.predicted(right, legal)
    one_missing = torch.tensor([0.2, 0.7, 0.1, 0.0, 0.0, 0.0, 0.0])
    tie = torch.tensor([0.3, 0.4, 0.3, 0.0, 0.0, 0.0, 0.0])
    for wrong in (one_missing, tie, -right, right * float("nan")):
        assert not grammar.predicted(wrong, legal)


def test_a_stream_that_begins_anew_does_so_at_a_string():
    streams = grammar.Streams(2, np.random.default_rng(3))
    streams.take(5)
    first = grammar.SYMBOLS[streams.restart(1)]
    text = first + "".join(grammar.SYMBOLS[k] for k in streams.take(200)[0][:, 1])
    assert language().match(text)
