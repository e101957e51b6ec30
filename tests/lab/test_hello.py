"""The lecture's example, from any first weights."""

from unrolled.lab.hello import run


def test_hello_is_learnt_from_any_seed():
    """All of 40 starts learnt it, with first weights that differ in their last bits too; one or two may fail."""
    written = [run(seed).written for seed in range(20)]
    assert written.count("hello") >= 18


def test_the_numbers_are_the_networks():
    lesson = run(3)
    for steps in (lesson.before, lesson.after):
        assert [s.one_hot.index(1.0) for s in steps] == [0, 1, 2, 2]
        assert all(len(s.hidden) == 3 and all(abs(h) < 1 for h in s.hidden) for s in steps)
    assert lesson.after[2].hidden != lesson.after[3].hidden
    assert lesson.parameters == 4 * 3 + 3 * 3 + 3 + 3 * 4 + 4
