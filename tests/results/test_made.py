"""A note of what files were made from counts only while they are all there as they were made."""

from __future__ import annotations

from pathlib import Path

from favit.results.made import is_current, record


def test_files_are_current_until_one_changes_or_what_they_are_made_from_does(tmp_path: Path) -> None:
    note, files = tmp_path / "note.json", [tmp_path / "a.csv", tmp_path / "a.tex"]
    for file in files:
        file.write_text(file.suffix)
    record(note, "today", files)
    assert is_current(note, "today", files) and not is_current(note, "tomorrow", files)
    files[0].write_text("by hand")
    assert not is_current(note, "today", files)
    files[0].unlink()
    assert not is_current(note, "today", files)


def test_a_file_that_another_process_makes_anew_is_left_to_it(tmp_path: Path) -> None:
    """Of two Snakemakes at once, the later removes the table before it writes its own; the first is no error."""
    note, files = tmp_path / "note.json", [tmp_path / "a.csv", tmp_path / "a.tex"]
    files[1].write_text("a")
    record(note, "today", files)
    assert not note.exists() and not is_current(note, "today", files)
