"use strict";
// Draws the plots by uPlot, and makes them one: one x axis, one zoom, one crosshair; then the controls above them.

// The plots

function readColors() {
  const style = getComputedStyle(root);
  for (const name of ["s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "page", "grid", "line", "quiet", "text"]) {
    colors[name] = style.getPropertyValue(`--${name}`).trim();
  }
}
function sizeOf(plot) {
  if (state.print) return { width: PRINTED.width, height: PRINTED.height };
  return { width: Math.max(200, Math.floor(plot.box.clientWidth)), height: HEIGHT };
}
function seriesOf(plot) {
  const few = (line) => line.raw.length <= 60 && isMain(line.curve);
  const behind = plot.lines.map((line) => ({
    stroke: () => faded(colorOf(line.curve), 0.28), width: 1, points: { show: false }, dash: dashOf(line.curve), show: shown(plot, line),
  }));
  const front = plot.lines.map((line) => {
    const main = !isBeside(plot, line.curve);
    return {
      stroke: () => (main ? colorOf(line.curve) : faded(colorOf(line.curve), line.many ? 0.85 : 0.55)),
      width: main && !isNoisy(line) ? 2 : 1.25,
      dash: dashOf(line.curve),
      points: { show: few(line), size: 5, fill: () => colorOf(line.curve), stroke: () => colorOf(line.curve) },
      show: shown(plot, line),
    };
  });
  return [{}, ...behind, ...front];
}
function build(plot) {
  plot.chart?.destroy();
  const range = state.zoom || extent();
  const axis = {
    stroke: () => colors.quiet, grid: { stroke: () => colors.grid, width: 1 }, ticks: { stroke: () => colors.line, width: 1, size: 5 },
    font: "11px system-ui, sans-serif", labelFont: "11px system-ui, sans-serif",
  };
  plot.chart = new uPlot({
    ...sizeOf(plot),
    padding: [8, data.runs.length > 1 ? 26 : 20, 0, 0],
    legend: { show: false },
    cursor: {
      y: false,
      sync: { key: "report", scales: ["x", null], setSeries: false },
      drag: { x: true, y: false, setScale: true },
      points: { size: 6 },
      bind: { dblclick: () => () => { zoomTo(null); return null; } },
    },
    scales: {
      x: { time: false, range: (u, low, high) => (low === null ? range : [low, high]), min: range[0], max: range[1], auto: false },
      y: { distr: state.log ? 3 : 1, range: () => yRange(plot) },
    },
    axes: [
      { ...axis, label: axisWords[state.axis], labelSize: 18, size: 28, space: 70, values: (u, at) => at.map(onAxis), ...(state.axis === "time" ? { incrs: TIMES } : {}) },
      { ...axis, size: 62, values: (u, at) => at.map((value) => (value === null ? "" : number(value))) },
    ],
    series: seriesOf(plot),
    hooks: {
      drawAxes: [(u) => drawBands(u, plot)],
      draw: [(u) => drawMarks(u, plot)],
      setCursor: [(u) => readOut(plot, u.cursor.left >= 0 ? u.posToVal(u.cursor.left, "x") : null)],
      setScale: [(u, key) => {
        const [min, max] = state.zoom || extent();
        if (key === "x" && (u.scales.x.min !== min || u.scales.x.max !== max)) zoomTo([u.scales.x.min, u.scales.x.max]);
      }],
    },
  }, tables(plot), plot.box);
  legend(plot);
}
function zoomTo(range) {
  const whole = extent();
  state.zoom = range && (range[0] > whole[0] || range[1] < whole[1]) ? range : null;
  const [min, max] = state.zoom || whole;
  for (const plot of plots) plot.chart.setScale("x", { min, max });
  document.getElementById("reset").disabled = !state.zoom;
}
function again() {
  for (const plot of plots) prepare(plot);
  for (const plot of plots) build(plot);
  queueMicrotask(() => { root.dataset.ready = String(figures.filter((one) => one.querySelector("canvas")?.width).length); });
}

// Legends

function legend(plot) {
  const box = plot.figure.querySelector(".legend");
  box.replaceChildren();
  plot.at = plot.figure.querySelector(".at");
  const parts = plot.spec.curves.some((one) => one.part !== plot.spec.curves[0].part);
  let group = null;
  for (const line of plot.lines) {
    if (!line.xs.length) continue;
    const run = data.runs[line.curve.run];
    if (group?.dataset.run !== run.letter) {
      group = document.createElement("span");
      group.className = "run";
      group.dataset.run = run.letter;
      if (data.runs.length > 1) group.append(letterOf(run));
      group.title = run.name;
      box.append(group);
    }
    const button = document.createElement("button");
    button.type = "button";
    button.className = `c${data.runs[line.curve.run].color}`;
    const sample = document.createElement("span");
    sample.className = `line${isBeside(plot, line.curve) ? " thin" : ""}${dashOf(line.curve) ? " dashed" : ""}`;
    button.setAttribute("aria-label", [run.name, line.curve.part].filter(Boolean).join(", "));
    line.value = document.createElement("span");
    line.value.className = "value";
    button.append(sample, parts || data.runs.length < 2 ? line.curve.part : "", line.value);
    button.addEventListener("click", (event) => {
      const others = plot.lines.filter((one) => one !== line);
      if (event.shiftKey) {
        const alone = !plot.off.has(line.index) && others.every((one) => plot.off.has(one.index));
        plot.off = new Set(alone ? [] : others.map((one) => one.index));
      } else if (!plot.off.delete(line.index)) plot.off.add(line.index);
      show(plot);
    });
    line.button = button;
    group.append(button);
  }
  press(plot);
  readOut(plot, null);
}
function letterOf(run) {
  const letter = document.createElement("b");
  letter.className = `letter c${run.color}`;
  letter.textContent = run.letter;
  return letter;
}
function press(plot) {
  for (const line of plot.lines) line.button?.setAttribute("aria-pressed", String(shown(plot, line)));
}
function readOut(plot, x) {
  // Under the crosshair, or at the end.
  if (plot.at) plot.at.textContent = x === null ? "at the end" : place(x);
  for (const line of plot.lines) {
    if (!line.value) continue;
    const at = x === null ? line.values.findLast((value) => value !== null) : valueAt(line, x);
    line.value.textContent = number(at);
  }
}
function show(plot) {
  const size = plot.lines.length;
  plot.chart.batch(() => {
    for (const line of plot.lines) {
      const on = shown(plot, line);
      plot.chart.setSeries(1 + line.index, { show: on });
      plot.chart.setSeries(1 + size + line.index, { show: on });
    }
  });
  press(plot);
  zoomTo(state.zoom);
}

// The controls

function runButtons() {
  const box = document.getElementById("runs");
  if (data.runs.length < 2) return;
  data.runs.forEach((run, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.title = `${run.name}: click hides it everywhere, shift and click shows it alone`;
    button.setAttribute("aria-pressed", "true");
    button.append(letterOf(run), ` ${run.name}`);
    button.addEventListener("click", (event) => {
      const others = data.runs.map((_, other) => other).filter((other) => other !== index);
      if (event.shiftKey) {
        const alone = !state.hidden.has(index) && others.every((other) => state.hidden.has(other));
        state.hidden = new Set(alone ? [] : others);
      } else if (!state.hidden.delete(index)) state.hidden.add(index);
      [...box.children].forEach((one, place) => one.setAttribute("aria-pressed", String(!state.hidden.has(place))));
      for (const plot of plots) show(plot);
    });
    box.append(button);
  });
}
function axisButtons() {
  const box = document.getElementById("axes");
  for (const axis of data.axes) {
    const label = document.createElement("label");
    const input = document.createElement("input");
    input.type = "radio";
    input.name = "axis";
    input.value = axis;
    input.checked = axis === state.axis;
    input.addEventListener("change", () => {
      state.axis = axis;
      state.zoom = null;
      document.getElementById("reset").disabled = true;
      again();
    });
    label.append(input, axis);
    box.append(label);
  }
}
function controls() {
  document.querySelector(".controls").hidden = false;
  runButtons();
  axisButtons();
  let waiting = 0;
  const soon = () => { waiting = waiting || setTimeout(() => { waiting = 0; again(); }, 16); };
  for (const name of ["log", "training", "bands", "marks"]) {
    const box = document.getElementById(name);
    state[name] = box.checked; // a browser that reloads keeps what was ticked
    box.addEventListener("change", () => { state[name] = box.checked; soon(); });
  }
  const slider = document.getElementById("smooth");
  const smooth = () => {
    state.smooth = Number(slider.value) / 100;
    document.getElementById("smooth-value").textContent = state.smooth ? state.smooth.toFixed(2) : "off";
  };
  smooth();
  slider.addEventListener("input", () => { smooth(); soon(); });
  document.getElementById("reset").addEventListener("click", () => zoomTo(null));
}

// The page around them

function resize() {
  for (const plot of plots) plot.chart.setSize(sizeOf(plot));
}
function forPrint(on) {
  state.print = on;
  root.classList.toggle("printing", on);
  readColors();
  for (const plot of plots) {
    plot.chart.setPxRatio(on ? PRINTED.ratio : null);
    plot.chart.setSize(sizeOf(plot));
  }
}
if (figures.length) {
  readColors();
  plots = figures.map((figure) => ({ figure, spec: data.plots[Number(figure.dataset.plot)], box: figure.querySelector(".canvas"), off: new Set(), lines: [], chart: null }));
  controls();
  again();
  let width = window.innerWidth;
  window.addEventListener("resize", () => {
    if (state.print || window.innerWidth === width) return;
    width = window.innerWidth;
    resize();
  });
  window.addEventListener("beforeprint", () => forPrint(true));
  window.addEventListener("afterprint", () => forPrint(false));
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColors(); for (const plot of plots) plot.chart.redraw(false); });
} else {
  root.dataset.ready = "0";
}
