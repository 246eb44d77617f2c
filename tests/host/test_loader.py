"""Every way in which a plugin can fail: it stands in the ledger, and the others go on."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from kit.ledger import Failure
from kit.loader import Loaded, load

GOOD = """
from kit.hookspecs import hookimpl
from kit.records import ScheduleSpec

@hookimpl
def kit_schedules():
    yield ScheduleSpec(name="{name}", build="nowhere:{name}")
"""
HEAD = """
from kit.hookspecs import hookimpl
from kit.records import DatasetSpec, ScheduleSpec
"""


@pytest.fixture
def good(install) -> None:
    """A plugin before and one after the faulty one, in the order in which plugins are loaded."""
    install("kit-aaa", GOOD.format(name="first"))
    install("kit-zzz", GOOD.format(name="last"))


def load_beside_good(*names: str) -> tuple[Loaded, list[Failure]]:
    """Load the named plugins between the two good ones; both good ones must have come through."""
    loaded = load(["kit-aaa", *names, "kit-zzz"])
    offered = {record.name for plugin in loaded.plugins for record in plugin.records}
    assert {"first", "last"} <= offered
    return loaded, [failure for failure in loaded.failures if failure.distribution not in ("kit-aaa", "kit-zzz")]


def records_of(loaded: Loaded, distribution: str) -> list[str]:
    return [r.name for p in loaded.plugins if p.distribution == distribution for r in p.records]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import no_such_framework", "needs the package 'no_such_framework', which is not installed"),
        ("raise ValueError('two\\nlines')", "Importing it raised ValueError: two lines."),
        ("import sys; sys.exit(3)", "called sys.exit(3) while it was imported"),
        ("raise SystemExit", "called sys.exit(None)"),
        ("def broken(:", "SyntaxError"),
    ],
)
def test_a_plugin_that_cannot_be_imported(install, good, source: str, words: str) -> None:
    install("kit-bad", source, version="2.3")
    loaded, failures = load_beside_good("kit-bad")
    assert [(f.plugin, f.distribution, f.version, f.stage) for f in failures] == [
        ("kit_bad", "kit-bad", "2.3", "import")
    ]
    assert words in failures[0].reason
    assert failures[0].detail
    assert "kit/loader.py" not in failures[0].detail  # the traceback starts in the plugin
    assert "kit-bad" not in {plugin.distribution for plugin in loaded.plugins}


def test_printing_at_import_is_held_back_and_noted(install, good, capsys) -> None:
    install("kit-bad", "print('hello from me')\n" + GOOD.format(name="mine"))
    loaded, failures = load_beside_good("kit-bad")
    assert [(f.stage, f.note) for f in failures] == [("output", True)]
    assert "'hello from me'" in failures[0].reason
    assert records_of(loaded, "kit-bad") == ["mine"]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("no_such_module", "there is no module 'no_such_module'"),
        ("no_such_package.part", "there is no module 'no_such_package'"),
        ("kit_bad:absent", "AttributeError"),
        ("kit_bad:one.two", "AttributeError"),
        ("not a module", "there is no module 'not a module'"),
    ],
)
def test_an_entry_point_to_nothing(install, good, target: str, words: str) -> None:
    install("kit-bad", "one = 1", entry_points=f"bad = {target}")
    _, failures = load_beside_good("kit-bad")
    assert [f.stage for f in failures] == ["import"]
    assert words in failures[0].reason


def assert_only_the_other_hook_is_kept(install, hook: str, words: str) -> None:
    others = "\n@hookimpl\ndef kit_datasets():\n    yield DatasetSpec(name='kept', load='a:b')\n"
    install("kit-bad", HEAD + hook + others)
    loaded, failures = load_beside_good("kit-bad")
    assert [(f.distribution, f.stage, f.note) for f in failures] == [("kit-bad", "hook", False)]
    assert words in failures[0].reason
    assert records_of(loaded, "kit-bad") == ["kept"]


@pytest.mark.parametrize(
    ("first_lines", "words"),
    [
        ("@hookimpl\ndef kit_shedules():", "no hook named 'kit_shedules'. Did you mean 'kit_schedules'?"),
        ("@hookimpl\ndef schedules():", "no hook named 'schedules'. Did you mean 'kit_schedules'?"),
        ("def kit_shedules():", "Did you mean 'kit_schedules', marked with @kit.hookimpl?"),
        ("def kit_schedules():", "kit_schedules is not marked with @kit.hookimpl"),
        ("@hookimpl\ndef kit_schedules(a):", "reads kit_schedules(a), but the hook kit_schedules takes no"),
        ("@hookimpl(wrapper=True)\ndef kit_schedules():", "wrapper"),
    ],
)
def test_a_hook_that_is_not_declared_right(install, good, first_lines: str, words: str) -> None:
    assert_only_the_other_hook_is_kept(install, f"{first_lines}\n    yield ()\n", words)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("raise KeyError('lost')", "raised KeyError: 'lost'"),
        ("raise SystemExit(1)", "raised SystemExit: 1"),
        ("pass", "returned None"),
        ("return ScheduleSpec(name='x', build='a:b')", "returned one ScheduleSpec, but must yield"),
        ("return 7", "returned one int"),
        ("yield 'cosine'", "yielded 'cosine', but must yield ScheduleSpec"),
        ("yield DatasetSpec(name='x', load='a:b')", "yielded DatasetSpec 'x'"),
        ("yield ScheduleSpec(name='a b', build='ab')", "name is 'a b', but must be a word"),
        ("yield ScheduleSpec(nom='x')", "TypeError"),
        ("while True:\n        yield ScheduleSpec(name='x', build='a:b')", "more than 10,000"),
    ],
)
def test_a_hook_that_fails_when_called(install, good, body: str, words: str) -> None:
    assert_only_the_other_hook_is_kept(install, f"@hookimpl\ndef kit_schedules():\n    {body}\n", words)


def test_a_generator_that_raises_halfway_offers_nothing(install, good) -> None:
    body = """
@hookimpl
def kit_schedules():
    yield ScheduleSpec(name="early", build="a:b")
    raise RuntimeError("halfway")
"""
    install("kit-bad", HEAD + body)
    loaded, failures = load_beside_good("kit-bad")
    assert records_of(loaded, "kit-bad") == []
    assert failures[0].reason == "Nothing that kit_schedules yields was taken: it raised RuntimeError: halfway."
    assert 'raise RuntimeError("halfway")' in failures[0].detail


def test_two_records_of_one_name(install, good) -> None:
    body = """
@hookimpl
def kit_schedules():
    yield ScheduleSpec(name="twin", build="a:b")
    yield ScheduleSpec(name="twin", build="a:c")
    yield ScheduleSpec(name="twin", build="a:c", backend="torch")
"""
    install("kit-bad", HEAD + body)
    loaded, failures = load_beside_good("kit-bad")
    assert records_of(loaded, "kit-bad") == []
    assert "2 schedule records named 'twin'" in failures[0].reason


def test_one_name_for_two_backends_is_no_clash(install, good) -> None:
    body = """
@hookimpl
def kit_schedules():
    return [ScheduleSpec(name="twin", build="a:b", backend=b) for b in ("torch", "tensorflow")]
"""
    install("kit-both", HEAD + body)
    loaded, failures = load_beside_good("kit-both")
    assert failures == []
    assert records_of(loaded, "kit-both") == ["twin", "twin"]


def test_a_module_without_hooks(install, good) -> None:
    install("kit-bad", "def kit_helper(): ...")
    _, failures = load_beside_good("kit-bad")
    assert "implements no hook" in failures[0].reason
    assert "kit_executors" in failures[0].reason


def test_an_object_can_be_a_plugin(install, good) -> None:
    body = """
class Mine:
    @hookimpl
    def kit_schedules(self):
        yield ScheduleSpec(name="from_an_object", build="a:b")

    @property
    def kit_models(self):
        raise RuntimeError("a property must not be run")

mine = Mine()
"""
    install("kit-object", HEAD + body, entry_points="object = kit_object:mine")
    loaded, failures = load_beside_good("kit-object")
    assert failures == []
    assert records_of(loaded, "kit-object") == ["from_an_object"]


@pytest.mark.parametrize("requirement", ["descentkit>=99", "DescentKit[corpus] < 0.0.1", "descentkit==0.0.*"])
def test_the_requirement_on_the_host_is_checked_before_import(install, good, site: Path, requirement: str) -> None:
    install("kit-bad", f"open({str(site / 'imported')!r}, 'w')", requires=("numpy", requirement))
    _, failures = load_beside_good("kit-bad")
    assert [f.stage for f in failures] == ["requirement"]
    assert "is installed: not imported" in failures[0].reason
    assert not (site / "imported").exists()
    assert "kit_bad" not in sys.modules


@pytest.mark.parametrize(
    "requirement",
    [
        "descentkit",
        "descentkit>=0.0.1",
        "descentkit>=99; python_version < '3'",
        "descentkit>=99; extra == 'new'",
    ],
)
def test_a_requirement_that_is_met(install, good, requirement: str) -> None:
    install("kit-fine", GOOD.format(name="fine"), requires=(requirement,))
    loaded, failures = load_beside_good("kit-fine")
    assert failures == []
    assert records_of(loaded, "kit-fine") == ["fine"]


def test_two_distributions_with_one_entry_point_name_are_both_loaded(install, good) -> None:
    install("kit-one", GOOD.format(name="one"), entry_points="same = kit_one")
    install("kit-two", GOOD.format(name="two"), entry_points="same = kit_two")
    loaded, failures = load_beside_good("kit-one", "kit-two")
    assert failures == []
    assert records_of(loaded, "kit-one") == ["one"]
    assert records_of(loaded, "kit-two") == ["two"]


def test_one_distribution_with_one_entry_point_name_twice(install, good) -> None:
    install("kit-bad", GOOD.format(name="x"), entry_points="same = kit_bad\nsame = kit_bad:other\nfine = kit_bad")
    loaded, failures = load_beside_good("kit-bad")
    assert [f.stage for f in failures] == ["metadata"]
    assert "declares 'same' 2 times, for 'kit_bad' and 'kit_bad:other'" in failures[0].reason
    assert [p.name for p in loaded.plugins if p.distribution == "kit-bad"] == ["fine"]


def test_metadata_that_cannot_be_read(install, good, site: Path) -> None:
    install("kit-bad", "")
    (site / "kit_bad-1.0.dist-info" / "entry_points.txt").write_bytes(b"[kit.plugins]\n\xff\xfe = \xff")
    _, failures = load_beside_good("kit-aaa")
    assert [(f.stage, f.distribution) for f in failures] == [("metadata", "kit_bad-1.0.dist-info")]


def test_of_a_distribution_found_twice_the_first_on_the_path_counts(install, good, site: Path) -> None:
    install("kit-old", GOOD.format(name="new"), version="2.0")
    behind = site.parent / "behind"
    folder = behind / "kit_old-1.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: KIT_old\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("[kit.plugins]\nkit_old = absent\n")
    sys.path.append(str(behind))
    try:
        loaded, failures = load_beside_good("kit-old")
    finally:
        sys.path.remove(str(behind))
    assert [(f.distribution, f.stage, f.note) for f in failures] == [("kit-old", "versions", True)]
    assert f"Version 1.0 is installed too, in {behind}: 2.0 stands before it and is used." in failures[0].reason
    assert [p.version for p in loaded.plugins if p.distribution == "kit-old"] == ["2.0"]


def test_a_plugin_that_loads_a_declared_framework_is_noted(install, good, site: Path) -> None:
    (site / "heavy_framework.py").write_text("")
    backend = """
@hookimpl
def kit_backends():
    from kit.records import BackendSpec
    yield BackendSpec(name="heavy", engine="heavy_framework:Engine", requires=("heavy_framework",))
"""
    install("kit-light", HEAD + backend)
    install("kit-rude", "import heavy_framework\n" + GOOD.format(name="rude"))
    loaded, failures = load_beside_good("kit-light", "kit-rude")
    assert [(f.distribution, f.stage, f.note) for f in failures] == [("kit-rude", "framework", True)]
    assert records_of(loaded, "kit-rude") == ["rude"]


def test_kit_plugins_and_kit_block(install, good, monkeypatch: pytest.MonkeyPatch) -> None:
    install("kit-two", GOOD.format(name="two"), entry_points="second = kit_two")
    monkeypatch.setenv("KIT_PLUGINS", "kit_aaa, second")
    loaded = load()
    assert [p.name for p in loaded.plugins] == ["kit_aaa", "second"]
    assert loaded.failures == ()
    assert {"builtin", "kit_zzz"} <= {point.name for point in loaded.left_out}

    monkeypatch.setenv("KIT_BLOCK", "Kit.Two")  # a distribution's name, however it is spelled
    assert [p.name for p in load().plugins] == ["kit_aaa"]

    monkeypatch.delenv("KIT_PLUGINS")
    names = [p.name for p in load().plugins]
    assert "second" not in names
    assert {"kit_aaa", "kit_zzz"} <= set(names)


def test_a_blocked_plugin_is_not_imported(install, good, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install("kit-bad", f"open({str(site / 'imported')!r}, 'w')")
    monkeypatch.setenv("KIT_BLOCK", "kit_bad")
    _, failures = load_beside_good("kit-bad")
    assert failures == []
    assert not (site / "imported").exists()


def test_a_plugin_asked_for_that_is_not_installed(install, good) -> None:
    _, failures = load_beside_good("kit_aab")
    assert [(f.plugin, f.stage) for f in failures] == [("kit_aab", "selection")]
    assert "No plugin named 'kit_aab' is installed. Installed: kit_aaa" in failures[0].reason


@pytest.mark.parametrize(
    "change",
    [
        "object.__setattr__(record, 'name', 'other')",
        "record.expected_failures['schedule.cuts_into_any_chunks'] = 'Because.'",
        "object.__setattr__(record.hyperparameters[0], 'default', 2.0)",
    ],
)
def test_a_record_changed_after_it_was_yielded(install, good, change: str) -> None:
    body = f"""
@hookimpl
def kit_schedules():
    from kit.records import Hyperparameter
    record = ScheduleSpec(name="mine", build="a:b", hyperparameters=(Hyperparameter(name="h", default=1.0),))
    yield record
    {change}
"""
    install("kit-bad", HEAD + body)
    loaded, failures = load_beside_good("kit-bad")
    assert records_of(loaded, "kit-bad") == []
    assert "it changed the schedule 'mine' after it had yielded it" in failures[0].reason


def test_what_a_plugin_does_to_its_records_later_changes_nothing(install, good) -> None:
    body = """
KEPT = []

@hookimpl
def kit_schedules():
    KEPT.append(ScheduleSpec(name="mine", build="a:b"))
    yield KEPT[0]
"""
    install("kit-bad", HEAD + body)
    loaded, failures = load_beside_good("kit-bad")
    object.__setattr__(sys.modules["kit_bad"].KEPT[0], "name", "other")
    assert failures == []
    assert records_of(loaded, "kit-bad") == ["mine"]


@pytest.mark.parametrize("place", ["import", "hook"])
def test_a_plugin_that_forks(install, good, site: Path, capfd, place: str) -> None:
    """The copy of the process ends where it comes back to the host: nothing is done twice."""
    fork = "import os; os.fork()"
    body = f"""
{fork if place == "import" else ""}
@hookimpl
def kit_schedules():
    {fork if place == "hook" else ""}
    yield ScheduleSpec(name="mine", build="a:b")
"""
    install("kit-bad", HEAD + body)
    code = "from kit.loader import load; loaded = load(['kit-bad']); print([f.reason for f in loaded.failures])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    when = "while it was imported" if place == "import" else "in kit_schedules"
    assert done.stdout == f"['It forked this process {when}; a copy that came back was ended.']\n"


def test_a_plugin_that_is_slow_is_named_while_it_is(install, good, monkeypatch: pytest.MonkeyPatch, capfd) -> None:
    monkeypatch.setattr("kit.supervision.NOTICE_SECONDS", 0.05)
    install("kit-bad", "import time; time.sleep(0.6)\n" + GOOD.format(name="mine"), version="2.3")
    loaded, failures = load_beside_good("kit-bad")
    assert "'kit_bad' (kit-bad 2.3) takes long while it was imported; KIT_BLOCK=kit_bad leaves it" in (
        capfd.readouterr().err
    )
    assert [(f.stage, f.note) for f in failures] == [("slow", True)]
    assert records_of(loaded, "kit-bad") == ["mine"]


def test_a_plugin_that_takes_a_minute_is_left_out(install, good, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIT_PLUGIN_SECONDS", "0.3")
    swallowing = "import time\ntry:\n    time.sleep(60)\nexcept Exception:\n    pass\n"
    install("kit-bad", swallowing + GOOD.format(name="mine"))
    began = time.monotonic()
    loaded, failures = load_beside_good("kit-bad")
    assert time.monotonic() - began < 20
    assert [(f.stage, f.note) for f in failures] == [("import", False)]
    assert failures[0].reason == "It took longer than 0.3 s and is left out; KIT_PLUGIN_SECONDS=… allows more."
    assert records_of(loaded, "kit-bad") == []


def test_a_hook_that_never_ends_is_left_out(install, good, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIT_PLUGIN_SECONDS", "0.3")
    body = "@hookimpl\ndef kit_schedules():\n    while True:\n        pass\n    yield\n"
    assert_only_the_other_hook_is_kept(install, body, "It took longer than 0.3 s and is left out")


def test_a_plugin_that_needs_a_compiler(install, good) -> None:
    install("kit-bad", "import subprocess; subprocess.run(['no-such-compiler++', 'a.cpp'], check=True)")
    _, failures = load_beside_good("kit-bad")
    assert failures[0].reason == "It needs the program 'no-such-compiler++', which is not found here."
