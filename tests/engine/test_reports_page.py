"""The page of a report: whole in itself, safe, small; in a browser without errors, its controls at work."""

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.reports import write_report
from store import Store, open_store
from tests.engine.reported import NASTY, TOKEN, Page, add_run, browse, driven, finding, hashed, needs_browser
from tests.store.builders import new_run

SAMPLES = [{"prompt": "How do I <b>reset</b> it?", "text": "⚙️ Open settings", "reference": "Open Settings."}]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = open_store(tmp_path_factory.mktemp("store") / "finetui.db")
    add_run(store, "r1", "emoji-r16", samples=SAMPLES, recipe={"lora_r": 16, "learning_rate": 2e-4})
    add_run(
        store,
        "r2",
        NASTY,
        worse=0.1,
        samples=SAMPLES,
        alerts=[{"level": "warning", "code": "spike", "message": f"It jumped. {TOKEN}", "fix": "Halve the rate."}],
        recipe={"lora_r": 64, "learning_rate": 1e-3, "wandb_api_key": "qwertz", "note": f"token {TOKEN}"},
    )
    store.findings.replace("r1", [finding("r1", "It learns the rows by heart")])
    yield store
    store.close()


@pytest.fixture(scope="module")
def report(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(store, ["r1", "r2"], tmp_path_factory.mktemp("report") / "report.html", kind="html")


def test_nothing_is_fetched_and_nothing_but_its_own_scripts_may_run(report: Path) -> None:
    text = report.read_text(encoding="utf-8")
    page = Page(text)
    executed = [content for kind, content in page.scripts if kind != "application/json"]
    assert len(executed) == 4 and "uPlot" in executed[0]
    allowed = dict(part.split(" ", 1) for part in page.policy.split("; "))
    assert allowed["default-src"] == "'none'" and allowed["base-uri"] == "'none'"
    assert allowed["script-src"].split() == [hashed(content) for content in executed]
    assert allowed["style-src"].split() == [hashed(content) for content in page.styles]
    assert not [tag for tag, _ in page.tags if tag in ("link", "img", "iframe", "object", "base", "form")]
    assert not [a for _, a in page.tags for name in a if name in ("src", "href", "style") or name.startswith("on")]


def test_what_people_wrote_is_text(report: Path) -> None:
    text = report.read_text(encoding="utf-8")
    page = Page(text)
    shown = NASTY.replace("\u2028", "").replace("  ", " ")
    assert shown in page.text and "\u2028" not in text
    assert page.data["runs"][1]["name"] == shown
    assert "How do I <b>reset</b> it?" in page.text and "img" not in {tag for tag, _ in page.tags}


def test_it_says_what_there_is_to_say(report: Path) -> None:
    said = " ".join(Page(report.read_text(encoding="utf-8")).text.split())
    for words in (
        "eval loss 1.100 → 1.200, worse by 0.1 (9.1 %).",
        "It learns the rows by heart",
        "1.02 at step 120, 1.21 at step 200",
        "stop and keep step 120",
        "It jumped.",
        "Halve the rate.",
        "validation loss ★ 1.",
        "lora_r 16 64",
        "All 3 settings",
        "Open Settings. A emoji-r16 step 120 ⚙️ Open settings (120)",
        "100 Wh",
        "torch 2.13.0 2.13.0",
        "426 to train on, 48 to validate",
    ):
        assert words in said, f"{words!r} is not in {said!r}"


def test_secrets_are_not_in_it(report: Path) -> None:
    text = report.read_text(encoding="utf-8")
    assert TOKEN not in text and "qwertz" not in text
    # the alert; the setting in the sentence, in what differs, and in all
    assert text.count("left out: it looks like a secret") == 4


def test_curves_are_whole_with_gaps_and_extremes(store: Store, tmp_path: Path) -> None:
    add_run(store, "r3", steps=6000)
    data = Page(write_report(store, ["r3"], tmp_path / "one.html", kind="html").read_text(encoding="utf-8")).data
    loss = next(plot for plot in data["plots"] if plot["title"] == "loss")
    training = next(curve for curve in loss["curves"] if curve["part"] == "training")
    validation = next(curve for curve in loss["curves"] if curve["part"] == "validation")
    assert 1000 <= len(training["values"]) <= 2000 and max(training["high"]) == 9.5
    assert len(data["steps"][training["steps"]]) == len(training["values"]) == len(training["low"])
    assert data["steps"][training["steps"]][-1] == 6000 and "low" not in validation
    assert data["axes"] == ["step", "epoch", "time", "tokens"]
    steps, seconds = data["runs"][0]["scales"]["time"]
    assert steps[-1] == 6000 and seconds[-1] == pytest.approx(12_001)
    small = Page(write_report(store, ["r1"], tmp_path / "two.html", kind="html").read_text(encoding="utf-8")).data
    values = small["plots"][0]["curves"][1]["values"]
    assert len(values) == 200 and values[100] is None and 9.5 in values


def test_eight_runs_of_twenty_metrics_are_below_two_megabytes(store: Store, tmp_path: Path) -> None:
    metrics = [f"train/figure_{number}" for number in range(15)]
    ids = [f"many{number}" for number in range(8)]
    with store.transaction():
        for run_id in ids:
            add_run(store, run_id, steps=700, metrics=metrics)
    file = write_report(store, ids, tmp_path / "many.html", kind="html")
    page = Page(file.read_text(encoding="utf-8"))
    assert sum(len(plot["curves"]) for plot in page.data["plots"]) == 8 * 20
    assert file.stat().st_size < 2_000_000
    assert [a["scope"] for _, a in page.tags if "scope" in a].count("row") > 8  # a line a run


def test_of_hundreds_of_metrics_the_first_are_drawn(store: Store, tmp_path: Path) -> None:
    names = [f"<!--<script>{number:03d}" for number in range(100)]
    add_run(store, "wide", "long" * 100, steps=30, metrics=["training loss", *names])
    page = Page(write_report(store, ["wide"], tmp_path / "wide.html", kind="html").read_text(encoding="utf-8"))
    assert len(page.data["plots"]) == 60 and "45 more metrics are not drawn" in page.text
    assert "<!--<script>007" in page.text and "training loss" in page.text and len(page.scripts) == 5


# In a browser

DARK = "--blink-settings=preferredColorScheme=0"

DRIVER = """
const told = { errors: [], refused: [] };
addEventListener("error", (event) => told.errors.push(event.message));
document.addEventListener("securitypolicyviolation", (event) => told.refused.push(event.violatedDirective));
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
addEventListener("load", async () => {
  try {
    await pause(100);
    const plots = [...document.querySelectorAll(".plot")];
    const ground = () => getComputedStyle(document.body).backgroundColor;
    told.dark = ground();
    told.ready = document.documentElement.dataset.ready;
    const painted = (canvas) => {
      const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
      copy.drawImage(canvas, 0, 0);
      const pixels = new Uint32Array(copy.getImageData(0, 0, canvas.width, canvas.height).data.buffer);
      return new Set(pixels.filter((pixel) => pixel >>> 24 > 200));
    };
    told.painted = plots.map((plot) => painted(plot.querySelector("canvas")).size);
    const at = (plot) => plot.querySelector(".at").textContent;
    const values = (plot) => [...plot.querySelectorAll(".value")].map((one) => one.textContent);
    const over = plots[0].querySelector(".u-over");
    const box = () => over.getBoundingClientRect();
    const mouse = (kind, share, target = over) => target.dispatchEvent(new MouseEvent(kind, {
      bubbles: true, cancelable: true, button: 0, detail: 1, movementX: 1, movementY: 1,
      clientX: box().left + box().width * share, clientY: box().top + 60 }));
    told.end = values(plots[0]);
    mouse("mouseenter", 0.5); mouse("mousemove", 0.5); await pause(60);
    told.crossed = plots.map(at);
    told.middle = values(plots[0]);
    mouse("mousedown", 0.25); mouse("mousemove", 0.5); mouse("mouseup", 0.5, document); await pause(120);
    told.zoomed = !document.getElementById("reset").disabled;
    mouse("mousemove", 0); await pause(60);
    told.left = plots.map(at);
    mouse("dblclick", 0.5); await pause(120);
    told.whole = document.getElementById("reset").disabled;
    mouse("mousemove", 1); await pause(60);
    told.right = at(plots[1]);
    const before = painted(plots[0].querySelector("canvas"));
    const button = plots[0].querySelector(".legend button");
    button.click(); await pause(60);
    told.pressed = button.getAttribute("aria-pressed");
    button.click(); await pause(60);
    const chip = document.querySelectorAll("#runs button")[1];
    chip.dispatchEvent(new MouseEvent("click", { bubbles: true, shiftKey: true })); await pause(60);
    told.alone = [...document.querySelectorAll("#runs button")].map((one) => one.getAttribute("aria-pressed"));
    told.fewer = painted(plots[0].querySelector("canvas")).size < before.size;
    chip.dispatchEvent(new MouseEvent("click", { bubbles: true, shiftKey: true })); await pause(60);
    const slider = document.getElementById("smooth");
    slider.value = 95; slider.dispatchEvent(new Event("input")); await pause(120);
    told.smooth = values(plots[0]);
    document.getElementById("log").click(); await pause(120);
    document.getElementById("training").click(); await pause(120);
    told.validation = plots.map((plot) => [...plot.querySelectorAll(".legend button")].map((one) => one.ariaPressed));
    document.querySelector("#axes input[value=time]").click(); await pause(120);
    const again = plots[0].querySelector(".u-over"), there = again.getBoundingClientRect();
    for (const kind of ["mouseenter", "mousemove"]) again.dispatchEvent(new MouseEvent(kind, {
      bubbles: true, movementX: 1, movementY: 1, clientX: there.left + there.width / 2, clientY: there.top + 50 }));
    await pause(60);
    told.time = plots.map(at);
    dispatchEvent(new Event("beforeprint")); await pause(60);
    told.paper = ground();
    told.printed = plots.map((plot) => plot.querySelector("canvas").width);
    dispatchEvent(new Event("afterprint")); await pause(60);
    told.after = plots.map((plot) => plot.querySelector("canvas").width);
    told.overflow = document.documentElement.scrollWidth - innerWidth;
  } catch (error) { told.errors.push(String(error)); }
  document.documentElement.dataset.told = JSON.stringify(told);
});
"""


@needs_browser
def test_a_browser_draws_it_and_its_controls_work(report: Path) -> None:
    shown, console = browse(driven(report, DRIVER), "--dump-dom", DARK)
    assert console == []
    found = re.search(r'data-told="([^"]*)"', shown)
    assert found, "the page never came to its end"
    told = json.loads(html.unescape(found[1]))
    assert told["errors"] == told["refused"] == []
    assert told["dark"] == "rgb(14, 17, 22)" and told["paper"] == "rgb(255, 255, 255)"
    count = len(told["painted"])
    assert told["ready"] == str(count) and count == 4 and min(told["painted"]) > 10
    assert len(set(told["crossed"])) == 1 and re.fullmatch(r"step (99|10\d)", told["crossed"][0])
    assert told["middle"] != told["end"] and "–" not in told["end"]
    assert told["zoomed"] and told["whole"] and told["alone"] == ["false", "true"] and told["pressed"] == "false"
    assert len(set(told["left"])) == 1 and 45 <= int(told["left"][0].removeprefix("step ")) <= 55
    assert int(told["right"].removeprefix("step ")) >= 198
    assert told["fewer"]
    smoothed = [one != other for one, other in zip(told["smooth"], told["end"], strict=True)]
    assert smoothed == [False, True, False, True]  # ten evaluations are as they are
    assert told["validation"][0] == ["true", "false"] * 2 and told["validation"][1] == ["true", "true"]
    assert len(set(told["time"])) == 1 and re.fullmatch(r"\d:\d\d m", told["time"][0])
    assert set(told["printed"]) == {3 * 326} and max(told["after"]) < 3 * 326 and told["overflow"] <= 0


@needs_browser
def test_it_goes_on_paper(report: Path) -> None:
    paper = report.with_name("paper.pdf")
    _, console = browse(report, DARK, f"--print-to-pdf={paper}")
    assert console == [] and paper.read_bytes().startswith(b"%PDF-")
    assert paper.stat().st_size > 50_000, "the plots are not in it"


def test_without_curves_there_is_a_page_all_the_same(store: Store, tmp_path: Path) -> None:
    store.runs.add(new_run("r9", "queued"))
    page = Page(write_report(store, ["r9"], tmp_path / "empty.html", kind="html").read_text(encoding="utf-8"))
    assert page.data["plots"] == [] and "no loss was recorded" in page.text
    assert "canvas" not in {a.get("class") for _, a in page.tags}
