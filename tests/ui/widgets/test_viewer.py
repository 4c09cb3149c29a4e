"""Where the viewer begins."""

from __future__ import annotations

from dataclasses import replace

from streamlit.testing.v1 import AppTest

from tests.ui.stacks import make_stack
from ui.widgets.slices import plane_positions
from ui.widgets.viewer import _first_position


def test_it_begins_at_the_slice_that_speaks_most() -> None:
    stack = make_stack(probabilities={1: 0.2, 3: 0.9, 6: 0.4})
    assert _first_position([stack, make_stack(probabilities={2: 0.5})], [5.0, 15.0, 30.0]) == 15.0
    assert _first_position([stack], [5.0, 15.0, 30.0], highest=False) == 5.0


def test_without_answers_it_begins_on_no_blank_slice() -> None:
    stack = make_stack()
    blank = stack.blank.copy()
    blank[:8] = True
    positions = [float(place) for place in stack.positions]
    assert _first_position([replace(stack, blank=blank)], positions) in positions[8:]


def test_where_slices_share_an_answer_it_begins_in_their_middle() -> None:
    """A volume has one answer for all of its slices."""
    stack = make_stack(probabilities=dict.fromkeys(range(9), 0.7))
    assert _first_position([stack], [5.0 * number for number in range(9)]) == 20.0


def test_without_answers_it_begins_in_the_middle() -> None:
    assert _first_position([make_stack(slices=3)], [0.0, 5.0, 10.0]) == 5.0


def test_places_of_a_spacing_that_is_rounded_to_be_shown_are_not_taken_for_blank() -> None:
    stack = make_stack(step=5.1753)
    assert _first_position([stack], plane_positions([stack])) == stack.positions[5]


def page() -> None:
    import streamlit as st

    from core.mri import Plane
    from tests.ui.stacks import make_stack
    from ui.widgets.viewer import _choose_position

    seen = {1: 0.2, 8: 0.9} if st.checkbox("another checkpoint", key="other") else {2: 0.1, 5: 0.7, 9: 0.3}
    st.write(_choose_position(Plane.AXIAL, [make_stack(probabilities=seen)], key="v", seen_only=True))


def test_another_checkpoint_that_saw_other_slices_stays_near_the_place_that_was_shown() -> None:
    app = AppTest.from_function(page, default_timeout=60).run()
    assert app.select_slider[0].value == 25.0
    app.select_slider[0].set_value(45.0).run()
    app.checkbox(key="other").set_value(True).run()
    assert not app.exception
    assert app.select_slider[0].value == 40.0
