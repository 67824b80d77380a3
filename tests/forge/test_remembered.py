from gitopsd.forge.remembered import Answer, Remembered


def test_what_was_used_last_is_kept_up_to_a_size() -> None:
    remembered = Remembered(all_bytes=100, one_bytes=60)
    for name in ("a", "b"):
        remembered.keep(name, f"tag {name}", Answer(content=b"x" * 40))
    assert remembered.confirmed("a", "tag a") is not None
    remembered.keep("c", "tag c", Answer(content=b"x" * 40))
    assert [remembered.etag(name) for name in ("a", "b", "c")] == ["tag a", "", "tag c"]


def test_an_answer_that_is_too_large_or_has_no_tag_is_not_kept_and_the_one_before_neither() -> None:
    remembered = Remembered(all_bytes=100, one_bytes=60)
    for newer, tag in ((b"x" * 61, "newer"), (b"x", "")):
        remembered.keep("a", "tag", Answer(content=b"x"))
        remembered.keep("a", tag, Answer(content=newer))
        assert remembered.etag("a") == ""


def test_another_tag_confirms_nothing() -> None:
    remembered = Remembered()
    remembered.keep("a", "tag", Answer(content=b"x", more=True, total=3))
    assert remembered.confirmed("a", "other") is None
    assert remembered.confirmed("b", "tag") is None
    assert remembered.confirmed("a", "tag") == Answer(content=b"x", more=True, total=3)
