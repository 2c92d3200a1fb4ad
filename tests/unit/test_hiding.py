"""Secret texts go out of what a job says, however they are escaped, cut or sent in pieces."""

from __future__ import annotations

import html
import json
import random
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from jobqueue_widget._core.jobs import JobFailure, NotKept, Outcome
from jobqueue_widget._core.texts.hiding import HIDDEN, SHORTEST, Secrets, forms_of
from jobqueue_widget._runtime.storage.told.hidden_output import HiddenOutput

LETTERS = "abcdefghijklmnop"
secrets = st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=4, max_size=30)


def made(*texts: str) -> Secrets:
    forms = {form for text in texts for form in forms_of(text) if len(form) >= SHORTEST}
    return Secrets(frozenset(forms), uncountable=False, warning="")


WAYS = [
    str,
    repr,
    ascii,
    json.dumps,
    lambda text: json.dumps(text, ensure_ascii=False),
    quote,
    lambda text: quote(text, safe=""),
    quote_plus,
    lambda text: quote(text, safe="").lower(),
    html.escape,
    lambda text: repr(text.encode()),
    lambda text: str(KeyError(text)),
    lambda text: repr({"a": [text]}),
]


@given(secret=secrets, way=st.sampled_from(WAYS[:8] + WAYS[9:]))
def test_no_usual_way_to_write_a_text_lets_it_through(secret, way) -> None:  # type: ignore[no-untyped-def]
    told = way(secret)
    assert made(secret).hide(f"<< {told} >>").strip("\"'b<> ({[}])a:") in ("", HIDDEN)


@given(
    secret=secrets | st.text(alphabet="ab\"'\\\n\t%&<ä ", min_size=4, max_size=30),
    others=st.lists(secrets, max_size=2),
    which=st.integers(0, 100),
    share=st.floats(0, 1),
)
def test_no_form_of_a_secret_is_seen_that_a_cut_has_left_of_it(
    secret: str, others: list[str], which: int, share: float
) -> None:
    """As pandas cuts what it shows of an object: in the middle, behind escapes of its own."""
    forms = [form for form in forms_of(secret) if "..." not in form and "…" not in form]
    assume(forms)
    form = forms[which % len(forms)]
    length = 4 + round(share * (len(form) - 4))
    hidden = made(secret, *others)
    assume(hidden.hide("<< ") == "<< ")
    assert hidden.hide(f"<< {form[:length]}...").strip("< ") == f"{HIDDEN}..."
    assert hidden.hide(f"...{form[-length:]}").strip() == f"...{HIDDEN}"


def test_url_escapes_may_be_small() -> None:
    assert made("a/b=c").hide("?q=a%2fb%3dc") == f"?q={HIDDEN}"


@given(
    secret=st.text(alphabet=LETTERS, min_size=5, max_size=40),
    others=st.lists(st.text(alphabet=LETTERS, min_size=5, max_size=40), max_size=3),
    seed=st.integers(0, 2**32),
)
def test_a_secret_in_a_stream_is_hidden_wherever_it_is_cut(
    secret: str, others: list[str], seed: int
) -> None:
    rng = random.Random(seed)
    parts = [rng.choice([secret, *others, "\n", "1 2 3 ", secret[:4]]) for _ in range(20)]
    data = "".join(f"{part}|" for part in parts).encode()
    output = HiddenOutput(made(secret, *others))
    shown = b""
    while data:
        size = rng.randrange(1, 12)
        shown += output.pass_on(data[:size])
        data = data[size:]
    shown += output.rest()
    for one in (secret, *others):
        assert one.encode() not in shown
    assert shown.count(b"|") == len(parts) or secret[:4].encode() not in shown


def test_what_is_no_secret_passes_at_once_and_as_it_is() -> None:
    output = HiddenOutput(made("hunter22"))
    for data in (b"abc\xff\xfe", "ä\n".encode(), b"\r50%", b"hunt"):
        shown = output.pass_on(data)
        assert shown == (b"" if data == b"hunt" else data)
    assert output.pass_on(b"ing season\n") == b"hunting season\n"
    assert output.pass_on("a hunter22 b") == f"a {HIDDEN} b".encode()
    assert output.rest() == b""


def test_where_there_are_too_many_to_look_for_nothing_is_shown() -> None:
    all_of_it = Secrets(frozenset(), uncountable=True, warning="")
    assert (all_of_it.hide("anything"), all_of_it.hide("")) == (HIDDEN, "")
    assert HiddenOutput(all_of_it).pass_on(b"anything") == HIDDEN.encode()
    assert all_of_it.stands_in(b"")


@pytest.mark.parametrize("message", ["hunter22 is wrong", "it is wrong"])
def test_an_exception_that_tells_a_secret_is_not_kept(message: str) -> None:
    error = ValueError(message)
    failure = JobFailure("ValueError", message, f"...\nValueError: {message}\n", exception=error)
    told = made("hunter22").hide_in_outcome(Outcome.of_error(failure)).failure
    assert told is not None
    assert told.message == message.replace("hunter22", HIDDEN)
    assert (told.exception is None) == ("hunter22" in message)


def test_a_value_that_is_not_kept_tells_none() -> None:
    value = NotKept("str", "'hunter22'", 10, "no hunter22")
    told = made("hunter22").hide_in_outcome(Outcome.of_value(value)).value
    assert told == NotKept("str", f"'{HIDDEN}'", 10, f"no {HIDDEN}")
