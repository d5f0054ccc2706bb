"""The page at `/`: whole in itself, safe, and at work in a browser against the real server."""

import html
import json
import re
import subprocess
from pathlib import Path

import pytest

from engine.inference.panes import Pane
from engine.serving import web_page
from engine.serving.guard import rules_for
from tests.engine.reported import CHROMIUM, Page, hashed, needs_browser
from tests.serving.stand_in import BASE, SUPPORT, TOKEN, Api, served

NASTY = "<img src=x onerror=document.title='owned'><script>document.title='owned'</script>"

# Waits for a condition, as a person would look; then the next thing is done. The page tells how it went in its title.
DRIVEN = """
const wait = async (what, condition) => {
  for (let tries = 0; tries < 400; tries++) {
    if (condition()) return;
    await fetch("/health");  // real time: the browser's own runs ahead while nothing is fetched
  }
  throw new Error("never: " + what);
};
const said = (side) => document.querySelectorAll("#pane-" + side + " .assistant .text");
const ended = (count) => () => document.querySelectorAll(".figures").length === count && at("stop").hidden;
const key = (name, shift) => at("question").dispatchEvent(
  new KeyboardEvent("keydown", { key: name, shiftKey: shift, bubbles: true, cancelable: true }));
(async () => {
  await wait("the lock", () => !at("unlock").hidden);
  at("token").value = "wrong";
  at("unlock").requestSubmit();
  await wait("a refusal", () => at("unlock").querySelector(".error").textContent.includes("not the token"));
  at("token").value = "TOKEN";
  at("unlock").requestSubmit();
  await wait("the models", () => !at("chat").hidden);
  at("model-a").value = "base";
  at("question").value = QUESTION;
  key("Enter", true);
  key("Enter", false);
  await wait("one answer", ended(1));
  at("model-b").value = "r1+notes";
  at("model-b").dispatchEvent(new Event("change"));
  await wait("a new chat", () => said("a").length === 0 && !at("pane-b").hidden);
  at("question").value = QUESTION;
  at("send").click();
  await wait("two answers", ended(2));
  at("question").value = "again";
  at("send").click();
  await wait("two more", ended(4));
  at("longest").value = "";
  at("temperature").value = "9";
  at("question").value = "wrong";
  at("send").click();
  await wait("a refusal of both", () => document.querySelectorAll(".turns .error").length === 2);
})().then(
  () => { document.title = document.title + " done, kept: " + Object.keys({ ...localStorage }).length; },
  (error) => { document.title = error.message; },
);
"""


def test_nothing_is_fetched_and_nothing_but_its_own_script_may_run() -> None:
    made = web_page.page()
    page = Page(made.text)
    allowed = dict(part.split(" ", 1) for part in made.policy.split("; "))
    assert allowed["default-src"] == "'none'" and allowed["connect-src"] == "'self'"
    assert allowed["frame-ancestors"] == allowed["base-uri"] == allowed["form-action"] == "'none'"
    assert [allowed["script-src"]] == [hashed(content) for _, content in page.scripts]
    assert [allowed["style-src"]] == [hashed(content) for content in page.styles]
    assert not [tag for tag, _ in page.tags if tag in ("img", "iframe", "object", "base")]
    attributes = [(name, value or "") for _, given in page.tags for name, value in given.items()]
    assert not [name for name, _ in attributes if name in ("src", "style") or name.startswith("on")]
    assert [value for name, value in attributes if name == "href"] == ["data:,"]
    [(_, script)] = page.scripts
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|localStorage|cookie", script)
    labelled = {given["for"] for tag, given in page.tags if tag == "label" and "for" in given}
    assert labelled == {"token", "question"}


async def test_it_is_served_with_its_policy() -> None:
    answer = await Api(rules_for("localhost", TOKEN)).get("/")
    assert answer.headers["content-security-policy"] == web_page.page().policy
    assert answer.headers["x-frame-options"] == "DENY" and answer.headers["content-type"].startswith("text/html")
    assert TOKEN not in answer.text


@needs_browser
def test_a_colleague_chats_with_one_model_and_compares_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asset = web_page._asset
    question = json.dumps(f"hello {NASTY}").replace("</", "<\\/")
    script = DRIVEN.replace('"TOKEN"', json.dumps(TOKEN)).replace("QUESTION", question)
    monkeypatch.setattr(web_page, "_asset", lambda name: asset(name) + (script if name.endswith(".js") else ""))
    nasty = Pane(f"<b>{NASTY}", "/m", None, False, Path("/a"), "r7")
    api = Api(rules_for("127.0.0.1", TOKEN), [BASE, SUPPORT, nasty])
    with served(api.app) as url:
        done = subprocess.run(
            [
                *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1300,900"),
                *(f"--user-data-dir={tmp_path / 'browser'}", "--enable-logging=stderr", "--v=0"),
                *("--virtual-time-budget=20000", "--dump-dom", f"{url}/"),
            ],
            capture_output=True,
            text=True,
            timeout=90,
        )
    page = done.stdout
    title = re.search(r"<title>(.*?)</title>", page)
    assert title and title[1] == "finetui done, kept: 0", title
    # The browser says so itself for the statuses that are meant: the wrong token, the wrong temperature.
    console = re.findall(r":CONSOLE[^\]]*\] (.*)", done.stderr)
    assert not [line for line in console if "Failed to load resource" not in line]
    assert len(console) <= 4

    asked = [(panes[0].label, conversations[0]) for panes, conversations, _ in api.pool.asked]
    assert [label for label, _ in asked] == ["base", "base", "support", "base", "support"]
    last = asked[-1][1]
    assert not isinstance(last, str)
    assert [turn["role"] for turn in last if turn["role"] != "system"][-3:] == ["user", "assistant", "user"]
    assert last[-1]["content"].endswith("again")
    shown = html.unescape(page)
    assert shown.count("base: hello <img") == 1 and "support: " in shown and "They come on Tuesday." in shown
    without_script = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert "&lt;img src=x" in without_script and "<img" not in without_script, "it is text, not an element"
    assert "`temperature` is wrong" in shown
