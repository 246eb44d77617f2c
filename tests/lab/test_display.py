"""What goes to the page and what comes back, without a browser: the widget's traits and messages."""

import asyncio
import base64
import sys
import time

import numpy as np
import pytest

from kit.errors import MissingPackageError
from kit.laboratory import display as module


@pytest.fixture
def sent(monkeypatch):
    """Every custom message, as (content, buffers)."""
    from kit.laboratory.widget import LabWidget

    found = []
    monkeypatch.setattr(LabWidget, "send", lambda self, content, buffers=None: found.append((content, buffers)))
    return found


def settled(lab):
    """After the last picture."""
    deadline = time.monotonic() + 30
    while not lab.widget.still and time.monotonic() < deadline:
        time.sleep(0.02)


def points(messages):
    """(run, metric) -> values, of what was sent."""
    found = {}
    for content, buffers in messages:
        if content["kind"] in ("points", "snapshot"):
            heads, values = np.frombuffer(buffers[0]).reshape(-1, 8), np.frombuffer(buffers[1], dtype=np.float32)
            at = 0
            for head in heads:
                found.setdefault((int(head[0]), int(head[1])), []).extend(values[at : at + int(head[5])].tolist())
                at += int(head[5])
    return found


def test_the_page_gets_every_point_once(make, sent):
    lab = make()
    assert lab.widget.table == []
    lab.widget._heard(None, {"do": "hello", "id": 1, "metric": "batch_loss"}, None)
    results = asyncio.run(lab.run())
    settled(lab)
    [number] = [i for i, name in enumerate(lab.widget.metrics) if name == "batch_loss"]
    for run, outcome in enumerate(results):
        np.testing.assert_allclose(points(sent)[run, number], outcome.curve("batch_loss"), rtol=1e-6)
    wholes = [points([message]) for message in sent if message[0]["kind"] == "snapshot"]
    assert wholes == [{}] * len(wholes)  # each at the beginning of a session: what comes after are new points


def test_the_loss_of_every_batch_is_sent_once_a_page_shows_it(make, sent):
    lab = make()
    results = asyncio.run(lab.run())
    settled(lab)
    number = lab.widget.metrics.index("batch_loss")
    assert points(sent)
    assert number not in {metric for _, metric in points(sent)}
    sent.clear()
    lab.widget._heard(None, {"do": "hello", "id": 7, "metric": "batch_loss"}, None)
    for run, outcome in enumerate(results):
        np.testing.assert_allclose(points(sent)[run, number], outcome.curve("batch_loss"), rtol=1e-6)


def test_a_page_that_comes_late_is_told_everything(make, sent):
    lab = make()
    assert lab.widget is not None
    asyncio.run(lab.run())
    settled(lab)
    before = points(sent)
    sent.clear()
    lab.widget._heard(None, {"do": "hello", "id": 7}, None)
    assert sent[0] == ({"kind": "answer", "id": 7, "fault": ""}, None)
    assert sent[1][0] == {"kind": "snapshot", "generation": lab.widget.generation}
    assert points(sent) == before


def test_a_lab_that_is_shown_after_it_ran_has_its_picture(make, sent, published):
    lab = make()
    asyncio.run(lab.run())
    lab._ipython_display_()
    [(data, _, _)] = published
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
    assert lab.widget.still == data["image/png"]
    assert lab.widget.status["sentence"].startswith("Done")


def test_another_session_is_another_generation(make, sent):
    lab = make()
    assert lab.widget is not None
    asyncio.run(lab.run())
    first = lab.widget.generation
    asyncio.run(lab.run())
    settled(lab)
    assert lab.widget.generation > first
    assert {content["generation"] for content, _ in sent if content["kind"] == "points"} <= set(range(first + 9))


def test_the_table_and_the_status_follow(make, sent):
    lab = make()
    assert lab.widget.status["state"] == "idle"
    asyncio.run(lab.run())
    settled(lab)
    assert lab.widget.status["sentence"] == "Done: 4 runs trained to the end."
    assert lab.widget.status["progress"] == "100%, 4 of 4 runs ended"
    assert [row["status"] for row in lab.widget.table] == ["all 2 done", "all 2 done"]
    assert lab.widget.words.startswith("Validation loss, lowest first: ")
    assert base64.b64decode(lab.widget.still).startswith(b"\x89PNG")
    assert not lab.widget.status["changed"]
    lab.new_seed()
    assert lab.widget.status["changed"]
    lab.set(seed=0)
    assert not lab.widget.status["changed"]


def test_of_many_notes_the_last_is_shown():
    assert module.latest([]) == []
    assert module.latest(["A worker was replaced."]) == ["A worker was replaced."]
    assert module.latest(["One.", "Two.", "Three."]) == ["Three. (2 notes before.)"]


SAID = [
    ({"do": "part", "kind": "dataset", "name": "wine"}, lambda form: form["parts"][0]["name"], "wine"),
    ({"do": "setting", "option": "seed", "text": "3"}, lambda form: form["settings"][4]["text"], "3"),
    ({"do": "lane", "number": 0, "name": "momentum"}, lambda form: form["lanes"][0]["name"], "momentum"),
    (
        {"do": "lane_option", "number": 1, "option": "beta1", "text": "0.5"},
        lambda form: form["lanes"][1]["controls"][1]["text"],
        "0.5",
    ),
    ({"do": "add"}, lambda form: len(form["lanes"]), 3),
    ({"do": "copy", "number": 0}, lambda form: form["lanes"][2]["name"], "minibatch"),
    ({"do": "remove", "number": 0}, lambda form: form["lanes"][0]["name"], "adam"),
    ({"do": "seed"}, lambda form: form["settings"][4]["text"], "1"),
]


@pytest.mark.parametrize(("said", "look", "expected"), SAID, ids=[said["do"] for said, _, _ in SAID])
def test_what_the_page_says_is_done_and_comes_back(make, sent, said, look, expected):
    lab = make()
    lab.widget._heard(None, {"id": 1, **said}, None)
    assert sent[-1] == ({"kind": "answer", "id": 1, "fault": ""}, None)
    assert look(lab.widget.form) == expected
    assert lab.widget.code == lab.code()


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ({"do": "dance"}, "There is no word for the lab named 'dance'."),
        ({"do": "remove", "number": 9}, "There is no lane 10; the lab has 2."),
        ({"do": "setting", "option": "speed", "text": "1"}, "There is no setting of the lab named 'speed'."),
        ({"do": "keep", "name": "x"}, "There is nothing to keep yet"),
        ({"do": "report"}, "There is nothing to report yet"),
        ({"do": "overlay", "name": "x", "on": True}, "Nothing is kept as 'x'"),
        ({"do": "lane"}, "This could not be done: KeyError: 'number'"),
    ],
)
def test_what_cannot_be_done_is_answered_in_a_sentence(make, sent, said, fault):
    lab = make()
    before = lab.widget.form
    lab.widget._heard(None, {"id": 1, **said}, None)
    assert sent[-1][0]["fault"].startswith(fault)
    assert "\n" not in sent[-1][0]["fault"]
    assert lab.widget.form == before


def test_a_faulty_control_is_marked_where_it_stands_and_the_code_says_so(make, sent):
    lab = make()
    lab.widget._heard(None, {"do": "lane_option", "id": 1, "number": 0, "option": "learning_rate", "text": ""}, None)
    control = lab.widget.form["lanes"][0]["controls"][0]
    assert (control["text"], "is empty" in control["fault"]) == ("", True)
    assert lab.widget.code.startswith("# optimizer 'minibatch': learning_rate is empty")


def test_run_pause_stop_from_the_page(make, slow, sent):
    lab = make(["minibatch"], model=slow, budget=100_000)

    def say(word):
        lab.widget._heard(None, {"do": word, "id": 1}, None)

    say("run")
    while not points(sent):
        time.sleep(0.02)
    say("pause")
    assert lab.state == "paused"
    say("resume")
    say("stop")
    lab.wait(30)
    settled(lab)
    assert lab.widget.status["sentence"] == "Stopped; everything so far is shown."


@pytest.fixture
def published(monkeypatch):
    """What is published to the notebook, as (data, whether it replaces)."""
    found = []

    def publish(data, transient=None, update=False):
        found.append((data, update, transient["display_id"]))

    import IPython.display

    monkeypatch.setattr(IPython.display, "publish_display_data", publish)
    return found


def test_a_notebook_stores_a_picture_and_a_sentence_beside_the_widget(make, sent, published):
    lab = make()
    lab._ipython_display_()
    asyncio.run(lab.run())  # when it returns, the notebook has the picture
    (first, replaced, place), (last, replaces, same) = published
    assert (replaced, replaces, place) == (False, True, same)
    assert first["text/plain"].startswith("A lab that trains minibatch and adam on iris")
    assert last["application/vnd.jupyter.widget-view+json"]["model_id"] == lab.widget.model_id
    assert base64.b64decode(last["image/png"]).startswith(b"\x89PNG")
    assert "Validation loss, lowest first:" in last["text/plain"]
    assert last["text/plain"] in last["text/html"]


def test_without_anywidget_the_lab_says_how_to_get_it_and_trains_all_the_same(make, monkeypatch, published):
    monkeypatch.setitem(sys.modules, "anywidget", None)
    monkeypatch.delitem(sys.modules, "kit.laboratory.widget", raising=False)
    lab = make()
    with pytest.raises(MissingPackageError, match=r"needs anywidget: pip install 'descentkit\[lab\]'"):
        lab.widget  # noqa: B018
    lab._ipython_display_()
    assert "pip install 'descentkit[lab]'" in published[0][0]["text/plain"]
    assert len(asyncio.run(lab.run())) == 4
    assert base64.b64decode(published[-1][0]["image/png"]).startswith(b"\x89PNG")
    assert "application/vnd.jupyter.widget-view+json" not in published[-1][0]


def test_the_contours_follow_the_function_and_the_start(make, monkeypatch, sent):
    monkeypatch.delenv("KIT_PLUGINS")
    lab = make(["gd"], backend="torch", model="quadratic", dataset="iris")
    land = lab.widget.landscape
    values = np.frombuffer(land["values"], dtype=np.float32).reshape(land["rows"], land["columns"])
    left, right, bottom, top = land["window"]
    assert left < 0 < 4 < right
    assert bottom < 0 < 1 < top
    x, y = np.linspace(left, right, land["columns"])[7], np.linspace(bottom, top, land["rows"])[11]
    assert values[11, 7] == pytest.approx((x**2 + 10 * y**2) / 2, rel=1e-5)
    assert land["minima"] == [[0.0, 0.0]]
    lab.widget._heard(None, {"do": "option", "id": 1, "kind": "model", "option": "condition", "text": "1"}, None)
    changed = np.frombuffer(lab.widget.landscape["values"], dtype=np.float32)
    assert not np.array_equal(changed, values.reshape(-1))
    lab.widget._heard(None, {"do": "part", "id": 2, "kind": "model", "name": "linear"}, None)
    assert lab.widget.landscape == {}


def test_nothing_here_imports_a_framework(make, sent):
    assert make().widget is not None
    assert not {"torch", "tensorflow"} & set(sys.modules)
    assert module.INSTALL in str(MissingPackageError(module.INSTALL))
