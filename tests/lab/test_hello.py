"""The lecture's example, from any first weights."""

from unrolled.lab.hello import run


def test_hello_is_learnt_from_any_seed():
    """Three hidden units are enough, but not from everywhere: 38 of 40 starts is what we promise."""
    written = [run(seed).written for seed in range(40)]
    assert written.count("hello") >= 38


def test_the_numbers_are_the_networks():
    lesson = run(3)
    for steps in (lesson.before, lesson.after):
        assert [s.one_hot.index(1.0) for s in steps] == [0, 1, 2, 2]
        assert all(len(s.hidden) == 3 and all(abs(h) < 1 for h in s.hidden) for s in steps)
    assert lesson.after[2].hidden != lesson.after[3].hidden
    assert lesson.parameters == 4 * 3 + 3 * 3 + 3 + 3 * 4 + 4
