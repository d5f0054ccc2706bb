"use strict";
// The token comes behind the `#` of the address, which browsers send to nobody, and is kept for this tab alone.
const KEY = "finetui-web-token";
const unlock = document.getElementById("unlock");
const terminal = document.getElementById("terminal");

function token() {
  const given = decodeURIComponent(location.hash.slice(1));
  if (given) {
    sessionStorage.setItem(KEY, given);
    history.replaceState(null, "", location.pathname);
  }
  return sessionStorage.getItem(KEY) || "";
}

function ask(words) {
  unlock.hidden = false;
  unlock.querySelector(".error").textContent = words;
  document.getElementById("token").focus();
}

async function enter() {
  const known = token();
  if (!known) return ask("");
  let answer;
  try {
    answer = await fetch("/ticket", { method: "POST", headers: { Authorization: "Bearer " + known } });
  } catch {
    return ask("The server does not answer. Is `finetui web` still running?");
  }
  if (!answer.ok) {
    if (answer.status === 401) sessionStorage.removeItem(KEY);
    return ask((await answer.text()) || "The server refused.");
  }
  unlock.hidden = true;
  await document.fonts.load('16px "Roboto Mono"').catch(() => {});
  terminal.dataset.sessionWebsocketUrl = "ws://" + location.host + "/ws/" + (await answer.text());
  const script = document.createElement("script");
  script.src = "/static/js/textual.js";
  script.onload = () => window.onload();  // the page itself was loaded before
  document.head.append(script);
}

// Keys go to the terminal once there is something to be seen; before, its socket is not open.
new MutationObserver((_, watcher) => {
  if (!document.body.classList.contains("-first-byte")) return;
  watcher.disconnect();
  terminal.querySelector("textarea")?.focus();
}).observe(document.body, { attributes: true });

unlock.addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEY, document.getElementById("token").value.trim());
  enter();
});
document.querySelector("#closed button").addEventListener("click", () => location.reload());
enter();
