"""Templates are strict, and text from rows and settings cannot act as Markdown or HTML."""

import re
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagsmith.cards import markdown
from tagsmith.cards.errors import ReleaseError
from tagsmith.cards.template import render


def test_the_template_gets_exactly_the_names_that_it_uses():
    assert render("{{ a | cell }}", a=1234) == "1,234"
    with pytest.raises(ReleaseError, match=r"lacks a value for \['b'\], makes no use of \[\]"):
        render("{{ a }}{{ b }}", a=1)
    with pytest.raises(ReleaseError, match=r"lacks a value for \[\], makes no use of \['b'\]"):
        render("{{ a }}", a=1, b=2)
    with pytest.raises(ReleaseError, match="no attribute 'c'"):
        render("{{ a.c }}", a={})


def test_the_shared_parts_are_strict_too():
    source = '{% import "parts.md.jinja" as parts %}{{ parts.show(picture) }}'
    assert 'alt="x"' in render(source, picture={"light": "a", "dark": "b", "caption": "x"})
    with pytest.raises(ReleaseError, match="no attribute 'dark'"):
        render(source, picture={"light": "a", "caption": "x"})


@given(st.text(max_size=80), st.integers(5, 40))
def test_inline_is_one_line_without_live_markup(text, longest):
    shown = markdown.inline(text, longest)
    assert len(shown.splitlines()) <= 1
    assert not set(shown) & set("<>")
    assert re.search(r"(?<!\\)(?:\\\\)*[`*_\[\]|~$]", re.sub(r"\\.", "", shown)) is None
    shown.encode("utf-8")
    assert len(markdown.shorten(text, longest)) <= max(longest, 1)


@given(st.text(max_size=80), st.integers(5, 40))
def test_prose_is_one_line_of_a_table_with_no_tag_but_line_ends(text, longest):
    shown = markdown.prose(text, longest)
    assert len(shown.splitlines()) <= 1
    assert not set(shown.replace("<br>", "")) & set("<>")
    assert re.search(r"(?<!\\)(?:\\\\)*[`*_\[\]|~$]", re.sub(r"\\.", "", shown)) is None


def test_prose_keeps_lines_and_indentation_and_drops_blank_lines():
    assert markdown.prose("a\n\n  b < c\n", 99) == "a<br>&nbsp;&nbsp;b &lt; c"


@given(st.text(max_size=60))
def test_an_attribute_cannot_be_left(text):
    shown = markdown.attribute(text)
    assert '"' not in shown
    assert "<" not in shown
    assert len(shown.splitlines()) <= 1


@given(st.lists(st.text(alphabet="ab-' $\n", max_size=30), min_size=1, max_size=9))
def test_a_command_in_several_lines_is_the_same_command(words):
    assert shlex.split(markdown.shell_lines(words).replace(" \\\n  ", " ")) == words


def test_shorten_keeps_words_and_composed_characters_whole():
    assert markdown.shorten("one two three", 9) == "one two…"
    assert markdown.shorten("日本語の文章です", 5) == "日本語の…"
    assert markdown.shorten("ab👩\u200d🚀cd", 5) == "ab…"
    assert markdown.shorten("abe\u0301cdef", 4) == "ab…"
    assert markdown.shorten("short", 5) == "short"


def test_fences_are_longer_than_what_they_hold():
    assert markdown.fence("a ``` b", "bash") == "````bash\na ``` b\n````"
    assert markdown.code("a`b|c") == "`` a`b\\|c ``"
