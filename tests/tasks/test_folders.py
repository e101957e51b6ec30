"""Which files of a folder are data."""

from unrolled.tasks.folders import files_in


def test_hidden_files_and_runs_are_left_out(tmp_path):
    for name in ("b.txt", "a/c.txt", ".hidden/d.txt", "a/.e.txt", "plain/config.toml", "run/config.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "run" / "samples").mkdir()
    (tmp_path / "run" / "samples" / "1.txt").write_text("x")
    found = [p.relative_to(tmp_path).as_posix() for p in files_in(tmp_path)]
    assert found == ["a/c.txt", "b.txt", "plain/config.toml"]
    assert [p.name for p in files_in(tmp_path, "*.txt")] == ["b.txt"]
