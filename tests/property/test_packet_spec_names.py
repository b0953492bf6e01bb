"""Whatever a name is: what comes out is one safe component, and no two meet."""

from __future__ import annotations

import unicodedata

from hypothesis import example, given, settings
from hypothesis import strategies as st

from packet_spec.errors import NameRefusedError
from packet_spec.names import (
    OWN_NAMES,
    delivered_name,
    escape_for_display,
    fold_name,
    safe_component,
    status_name,
)

few = settings(max_examples=50, deadline=None, derandomize=True)
nasty = st.text(st.sampled_from("aA.\\/:\0\n ~0%文CONcon\u0301é\u202e\ud800"), max_size=12)


def hides_something(text: str) -> bool:
    return any(unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for character in text)


@few
@given(st.lists(st.text(max_size=20) | nasty | st.sampled_from(OWN_NAMES), max_size=20))
@example(["part-0002", "x:", "PART-0002"])
def test_delivered_names_are_safe_and_never_meet(listed):
    taken: set[str] = set()
    given_names = [delivered_name(name, index, taken) for index, name in enumerate(listed, start=1)]
    for name in given_names:
        assert safe_component(name) == name
    folded = [fold_name(name) for name in given_names]
    assert len(set(folded)) == len(folded)
    assert not set(folded) & set(OWN_NAMES)


@few
@given(st.text(max_size=30) | nasty)
def test_a_safe_component_is_one_component(name):
    try:
        safe = safe_component(name)
    except NameRefusedError as error:
        refused = error
    else:
        assert safe == name
        assert name not in ("", ".", "..")
        assert not set(name) & set('/\\:*?"<>|\0\n\r')
        assert len(name.encode()) <= 255
        return
    assert not hides_something(str(refused))


@few
@given(
    st.lists(
        st.binary(max_size=300) | nasty.map(lambda name: name.encode("utf-8", "replace")),
        unique=True,
        max_size=20,
    )
)
def test_status_names_are_short_and_different(drops):
    names = [status_name(drop, ".status.xml") for drop in drops]
    assert len(set(names)) == len(drops)
    for name in names:
        assert len(name.encode()) <= 200 + len(".status.xml")
        assert "/" not in name
        assert not hides_something(name)


@few
@given(st.binary(max_size=60))
def test_displayed_names_are_one_printable_line(name):
    assert not hides_something(escape_for_display(name))
