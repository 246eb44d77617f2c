"""The report: complete, self-contained, safe with hostile names, and readable by those who do not see it."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from kit.errors import InvalidValueError, WorkError
from kit.report.markup import interval_mark, tag, text
from kit.results import Results

VOID = {"meta", "br", "hr", "img", "input", "link"}
EVIL = "<script>alert(1)</script>\"'&$x^2"


class Page(HTMLParser):
    """Elements with their attributes, texts by element, and whether all tags close in order."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[tuple[str, str]] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.words.append((self.open[-1] if self.open else "", data.strip()))

    def all(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag in tags]

    @property
    def text(self) -> str:
        return " ".join(words for where, words in self.words if where not in ("style", "script"))


def page_of(results: Results, tmp_path: Path, **options: Any) -> tuple[Page, str]:
    path = results.report(tmp_path / "report.html", **options)
    source = path.read_text(encoding="utf-8")
    page = Page(source)
    assert page.open == []
    return page, source


@pytest.fixture(scope="module")
def main(make_study: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Page, str, Results]:
    outcomes = make_study()
    results = Results(outcomes, axes=["optimizer", "backend", "replicate"], notes=["A worker was replaced."])
    study = json.dumps({"format": 1, "experiments": []})
    return *page_of(results, tmp_path_factory.mktemp("report"), study=study), results


def test_it_holds_all_that_was_found(main: tuple[Page, str, Results]) -> None:
    page, _, results = main
    for sentence in (*results.sentences(), *results.notes):
        assert sentence in page.text, sentence
    for word in ("Holm", "diverged", "torch 2.13.0", "gradient evaluation", "All runs finished."):
        assert word in page.text
    for run in results.runs:
        assert run.run_id in page.text
    for lane in results.lanes:
        assert lane.labels["optimizer"] in page.text


def test_it_asks_for_nothing_outside_itself(main: tuple[Page, str, Results]) -> None:
    page, source, _ = main
    for name, attributes in page.elements:
        for key in ("src", "href", "xlink:href", "srcset", "action", "poster", "data"):
            value = attributes.get(key) or ""
            assert value == "" or value.startswith("#"), f"<{name} {key}={value!r}>"
    assert "@import" not in source
    assert all(url.startswith("#") for url in re.findall(r"url\([\"']?([^)\"']*)", source))
    policies = [m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"]


def test_headings_are_in_order_and_tables_have_scopes(main: tuple[Page, str, Results]) -> None:
    page, _, _ = main
    levels = [int(name[1]) for name, _ in page.elements if re.fullmatch(r"h[1-6]", name)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert all(th.get("scope") in ("row", "col") for th in page.all("th"))
    assert len(page.all("table")) >= 4
    assert page.all("html")[0]["lang"] == "en"


def test_every_figure_is_said_in_words(main: tuple[Page, str, Results]) -> None:
    page, source, _ = main
    drawings = [a for a in page.all("div") if a.get("role") == "img"]
    assert len(drawings) >= 8
    assert all(len(a["aria-label"] or "") > 40 for a in drawings)
    assert source.count("<figcaption>") == len(page.all("figure"))


def test_ids_are_unique_and_links_lead_somewhere(main: tuple[Page, str, Results]) -> None:
    page, _, _ = main
    ids = [attributes["id"] for _, attributes in page.elements if attributes.get("id")]
    assert len(ids) == len(set(ids))
    for _, attributes in page.elements:
        for key in ("href", "xlink:href", "aria-labelledby"):
            if value := attributes.get(key):
                assert value.removeprefix("#") in ids


def test_figures_take_the_pages_colours(main: tuple[Page, str, Results]) -> None:
    _, source, _ = main
    assert "#fe00" not in source.lower()
    assert "var(--c0)" in source
    assert "prefers-color-scheme: dark" in source
    assert "@media print" in source
    for variable in set(re.findall(r"var\((--[\w-]+)\)", source)):
        assert f"{variable}:" in source, variable


def test_the_study_stands_in_it_as_it_was(main: tuple[Page, str, Results]) -> None:
    page, _, _ = main
    assert ("pre", '{"format": 1, "experiments": []}') in page.words
    assert "kit compare --from study.json" in page.text


def test_without_a_study_the_runs_are_specified(make_study: Any, tmp_path: Path) -> None:
    results = Results(make_study(("adam",), ("torch",), 2))
    page, _ = page_of(results, tmp_path, title="Mine")
    (document,) = [words for where, words in page.words if where == "pre"]
    assert [run["specification"] for run in json.loads(document)] == [run.specification for run in results.runs]
    assert ("h1", "Mine") in page.words


def test_hostile_names_are_text(make_outcome: Any, tmp_path: Path) -> None:
    outcomes = [
        make_outcome(name, "torch", r, dataset={"name": EVIL, "options": {}}, device=EVIL, level=level)
        for name, level in ((EVIL, 0.2), ("adam", 0.1))
        for r in range(2)
    ]
    outcomes.append(make_outcome(EVIL, "torch", 2, diverged_at=30, dataset={"name": EVIL, "options": {}}, device=EVIL))
    page, source = page_of(Results(outcomes, notes=[EVIL]), tmp_path, title=EVIL)
    assert len(page.all("script")) == 1
    assert "<script>alert" not in source
    assert ("h1", EVIL) in page.words
    assert EVIL in page.text


def test_what_did_not_finish_is_told_with_its_reason(make_outcome: Any, tmp_path: Path) -> None:
    outcomes = [make_outcome("adam", "torch", r) for r in range(3)]
    outcomes += [make_outcome("wild", "torch", r, diverged_at=30) for r in range(3)]
    page, _ = page_of(Results(outcomes), tmp_path)
    assert "Of 6 runs: 3 done, 3 diverged." in page.text
    assert "The batch loss became nan at step 30" in page.text


@pytest.mark.parametrize("case", ["one run", "all diverged", "search", "one rate diverged", "no validation"])
def test_any_results_can_be_reported(make_outcome: Any, make_sweep: Any, tmp_path: Path, case: str) -> None:
    outcomes = {
        "one run": lambda: [make_outcome()],
        "all diverged": lambda: [make_outcome("wild", "torch", r, diverged_at=30) for r in range(2)],
        "search": lambda: make_sweep([1e-3, 1e-2, 1.0], ("adam", "sgd"), ("torch", "tensorflow"), 2),
        "one rate diverged": lambda: make_sweep([1.0, 2.0], replicates=1),
        "no validation": lambda: [_without_validation(make_outcome("adam", "torch", r)) for r in range(2)],
    }[case]()
    page, _ = page_of(Results(outcomes), tmp_path)
    assert len(page.all("section")) == 8


def _without_validation(outcome: Any) -> Any:
    from dataclasses import replace

    return replace(outcome, curves=outcome.curves[~outcome.curves["metric"].str.startswith("validation")])


def test_nothing_to_report_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match="nothing to report"):
        Results([]).report(tmp_path / "report.html")


def test_a_place_that_cannot_be_written_is_one_sentence(make_outcome: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkError, match="cannot be written to"):
        Results([make_outcome()]).report(tmp_path / "file" / "report.html")


def test_an_old_report_stays_when_writing_fails(make_outcome: Any, tmp_path: Path) -> None:
    place = tmp_path / "report.html"
    place.mkdir()
    with pytest.raises(WorkError):
        Results([make_outcome()]).report(place)
    assert list(tmp_path.iterdir()) == [place]


def test_markup_escapes_text_and_attributes() -> None:
    assert text("p", "<&>") == "<p>&lt;&amp;&gt;</p>"
    assert tag("p", "<b>x</b>", title='"') == '<p title="&quot;"><b>x</b></p>'


def test_an_interval_mark_stays_within_its_track() -> None:
    mark = interval_mark(-1e9, 0.0, 1e9, 1.0)
    assert all(0 <= float(x) <= 176 for x in re.findall(r'(?:x1|x2|cx)="([\d.]+)"', mark))
    assert "bar" not in interval_mark(float("-inf"), 0.0, 1.0, 1.0)


CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_in_a_browser_it_makes_no_request_fits_a_phone_and_sorts(make_study: Any, tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    path = Results(make_study(replicates=2)).report(tmp_path / "report.html")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--headless", "--disable-gpu", "--disable-background-networking"],
        )
        page = browser.new_page(viewport={"width": 390, "height": 844}, color_scheme="dark")
        requests: list[str] = []
        faults: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        heads = page.locator("#result th[scope=col]")
        column = [heads.nth(i).inner_text() for i in range(heads.count())].index("validation loss")
        heads.nth(column).locator("button").click()
        cells = page.locator(f"#result tbody tr td:nth-child({column + 1})")
        values = [float(cells.nth(i).get_attribute("data-value") or "nan") for i in range(cells.count())]
        assert values == sorted(values)
        assert heads.nth(column).get_attribute("aria-sort") == "ascending"
        page.get_by_role("button", name="by time").click()
        assert page.locator(".clocks figure:visible").get_attribute("data-name") == "by time"
        assert page.locator("figure .wide:visible").count() == 0
        browser.close()
    assert requests == [path.as_uri()]
    assert faults == []
