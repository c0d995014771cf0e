"""The demo corpus: the same everywhere, mended where damaged, and of many different stories."""

from __future__ import annotations

import pytest

from dnadiff.data.text import demo
from dnadiff.errors import ResourceError
from dnadiff.files import sha256


@pytest.fixture
def few(tmp_path, monkeypatch):
    """A corpus of some stories, which are quick to draw."""
    monkeypatch.setattr(demo, "N_STORIES", 3)
    with pytest.raises(ResourceError, match=r"draws another demo corpus than version 1; give data\.path"):
        demo.write_demo(tmp_path)
    (path,) = tmp_path.iterdir()
    monkeypatch.setattr(demo, "SHA256", sha256(path))
    return path


def test_it_is_written_once_and_mended(few):
    written, whole = few.stat().st_mtime_ns, few.read_text()
    assert demo.write_demo(few.parent).stat().st_mtime_ns == written
    few.write_text(whole[:-5])
    assert demo.write_demo(few.parent).read_text() == whole


def test_stories_differ_and_keep_to_their_person(tmp_path):
    stories = demo.write_demo(tmp_path).read_text().splitlines()
    assert len(stories) == len(set(stories)) == demo.N_STORIES
    names = {name for name, _, _ in demo.PEOPLE}
    for story in stories:
        words = set(story.replace(".", " ").split())
        assert len(words & names) == 1
        assert not ({"She", "her"} <= words and {"He", "his"} & words)
