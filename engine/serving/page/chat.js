"use strict";
// All text reaches the page as text: nothing here makes HTML of what a model, a person or a note says.
const KEPT = "finetui-token";
const at = (id) => document.getElementById(id);
const conversations = { a: [], b: [] };
let writing = null;
let chat = 0;

function made(kind, name, text) {
  const node = document.createElement(kind);
  if (name) node.className = name;
  if (text !== undefined) node.textContent = text;
  return node;
}

function headers() {
  const token = sessionStorage.getItem(KEPT);
  const all = { "Content-Type": "application/json" };
  if (token) all.Authorization = "Bearer " + token;
  return all;
}

async function refusal(response) {
  try {
    return (await response.json()).error.message;
  } catch {
    return "The server answered with status " + response.status + ".";
  }
}

function lock(message) {
  sessionStorage.removeItem(KEPT);
  at("chat").hidden = true;
  at("unlock").hidden = false;
  at("unlock").querySelector(".error").textContent = message;
  at("token").focus();
}

async function enter() {
  let response;
  try {
    response = await fetch("/v1/models", { headers: headers() });
  } catch {
    lock("The server cannot be reached.");
    return;
  }
  if (!response.ok) {
    lock(sessionStorage.getItem(KEPT) === null ? "" : await refusal(response));
    return;
  }
  const names = (await response.json()).data.map((model) => model.id);
  for (const side of ["a", "b"]) {
    const choice = at("model-" + side);
    choice.replaceChildren();
    if (side === "b") choice.append(new Option("nobody", ""));
    for (const name of names) choice.append(new Option(name, name));
  }
  at("unlock").hidden = true;
  at("chat").hidden = false;
  at("question").focus();
}

function turn(side, role, who, text) {
  const node = made("article", "turn " + role);
  const body = made("div", "text", text);
  node.append(made("div", "who", who), body);
  const turns = at("pane-" + side).querySelector(".turns");
  turns.append(node);
  turns.scrollTop = turns.scrollHeight;
  return { node, body, turns };
}

function shown(figures) {
  const parts = [];
  if (figures.tokens !== null) parts.push(figures.tokens + " tokens");
  if (figures.first_token_s !== null) parts.push(figures.first_token_s.toFixed(2) + " s to the first");
  if (figures.tokens_per_s !== null) parts.push(figures.tokens_per_s.toFixed(1) + " tokens/s");
  return parts.join(", ");
}

function passages(found) {
  const node = made("details", "passages");
  node.append(made("summary", "", found.length === 1 ? "1 passage" : found.length + " passages"));
  for (const one of found) {
    node.append(made("div", "who", one.title === one.source ? one.source : one.title + " (" + one.source + ")"));
    node.append(made("div", "text", one.text));
  }
  return node;
}

async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    waiting += value;
    const whole = waiting.split("\n\n");
    waiting = whole.pop();
    for (const one of whole) {
      if (one.startsWith("data: ") && one !== "data: [DONE]") yield JSON.parse(one.slice(6));
    }
  }
}

function number(id) {
  const value = at(id).value;
  return value === "" ? null : Number(value);
}

async function answer(side, question, signal) {
  const model = at("model-" + side).value;
  const before = conversations[side];
  const current = chat;
  const asked = [...before, { role: "user", content: question }];
  const system = at("system").value.trim();
  turn(side, "user", "You", question);
  const place = turn(side, "assistant", model, "");
  let text = "";
  try {
    const response = await fetch("/v1/chat/completions", {
      method: "POST",
      headers: headers(),
      signal,
      body: JSON.stringify({
        model,
        messages: system ? [{ role: "system", content: system }, ...asked] : asked,
        temperature: number("temperature"),
        max_tokens: number("longest"),
        seed: number("seed"),
        stream: true,
      }),
    });
    if (!response.ok) throw new Error(await refusal(response));
    for await (const event of events(response)) {
      if (event.error) throw new Error(event.error.message);
      const down = place.turns.scrollHeight - place.turns.scrollTop - place.turns.clientHeight < 40;
      text += event.choices[0].delta.content ?? "";
      place.body.textContent = text;
      if (event.finetui) {
        place.node.append(made("div", "figures", shown(event.finetui)));
        if (event.finetui.passages?.length) place.node.append(passages(event.finetui.passages));
      }
      if (down) place.turns.scrollTop = place.turns.scrollHeight;
    }
  } catch (error) {
    const words = signal.aborted ? "Stopped." : error.message;
    place.node.append(made("p", "error", words));
    if (!text) return;
  }
  if (current === chat) conversations[side] = [...asked, { role: "assistant", content: text }];
}

async function send() {
  const question = at("question").value;
  if (writing || !question.trim()) return;
  writing = new AbortController();
  at("question").value = "";
  at("send").hidden = true;
  at("stop").hidden = false;
  at("status").textContent = "Writing. A model that was not asked for a while takes a moment to load.";
  const sides = at("model-b").value ? ["a", "b"] : ["a"];
  await Promise.all(sides.map((side) => answer(side, question, writing.signal)));
  writing = null;
  at("send").hidden = false;
  at("stop").hidden = true;
  at("status").textContent = "";
  at("question").focus();
}

function begin() {
  writing?.abort();
  chat += 1;
  for (const side of ["a", "b"]) {
    conversations[side] = [];
    at("pane-" + side).querySelector(".turns").replaceChildren();
  }
  at("pane-b").hidden = !at("model-b").value;
}

at("unlock").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEPT, at("token").value.trim());
  at("token").value = "";
  void enter();
});
at("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  void send();
});
at("question").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    void send();
  }
});
at("stop").addEventListener("click", () => writing?.abort());
at("again").addEventListener("click", begin);
at("model-a").addEventListener("change", begin);
at("model-b").addEventListener("change", begin);
void enter();
