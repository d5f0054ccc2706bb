"use strict";
// Draws the plots of a report by uPlot, and makes them one: one x axis, one zoom, one crosshair.
(() => {
  const root = document.documentElement;
  const data = JSON.parse(document.getElementById("report-data").textContent);
  const figures = [...document.querySelectorAll(".plot")];
  const SMOOTHED_FROM = 25; // a moving average of a few points says less than the points
  const HEIGHT = 270;
  const PRINTED = { width: 326, height: 205, ratio: 3 };
  const state = { axis: "step", log: false, smooth: 0, training: true, bands: true, marks: true, hidden: new Set(), zoom: null, print: false };
  let plots = [];
  let colors = {};

  // Numbers and words

  function number(value) {
    if (value === null || value === undefined || !Number.isFinite(value)) return "–";
    const size = Math.abs(value);
    if (size === 0) return "0";
    if (size >= 1e9 || size < 1e-3) return value.toExponential(2).replace(/\.?0+e/, "e").replace("e+", "e");
    if (size >= 10000) return Math.round(value).toLocaleString("en-US");
    return String(Number(value.toPrecision(4)));
  }
  function duration(seconds) {
    const s = Math.round(seconds);
    const two = (n) => String(n).padStart(2, "0");
    if (s < 60) return `${s} s`;
    if (s < 3600) return s % 60 ? `${Math.floor(s / 60)}:${two(s % 60)} m` : `${s / 60} m`;
    if (s < 86400) return `${Math.floor(s / 3600)}:${two(Math.floor((s % 3600) / 60))} h`;
    return `${Number((s / 86400).toFixed(2))} d`;
  }
  function count(value) {
    if (Math.abs(value) >= 1e9) return `${Number((value / 1e9).toFixed(2))} B`;
    if (Math.abs(value) >= 1e6) return `${Number((value / 1e6).toFixed(2))} M`;
    if (Math.abs(value) >= 1e4) return `${Number((value / 1e3).toFixed(1))} k`;
    return String(Number(value.toFixed(3)));
  }
  const axisWords = { step: "step", epoch: "epoch", time: "time since the start", tokens: "tokens" };
  const onAxis = (x) => (state.axis === "time" ? duration(x) : count(x));
  const place = (x) => (state.axis === "time" ? duration(x) : `${state.axis} ${state.axis === "step" ? Math.round(x).toLocaleString("en-US") : count(x)}`);
  const TIMES = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800];

  // Curves

  function along(scale, step) {
    // Straight between the knots, and on in the same direction beyond them.
    const [steps, xs] = scale;
    let low = 0, high = steps.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (steps[middle] <= step) low = middle; else high = middle;
    }
    return Math.max(0, xs[low] + ((step - steps[low]) / (steps[high] - steps[low])) * (xs[high] - xs[low]));
  }
  function xsOf(run, steps) {
    if (state.axis === "step") return steps;
    const scale = data.runs[run].scales[state.axis];
    if (!scale) return null;
    return steps.map((step) => along(scale, step));
  }
  function smoothed(values, weight) {
    // An exponential moving average without the pull of its first value towards zero; gaps stay gaps.
    let sum = 0, seen = 0;
    return values.map((value) => {
      if (value === null) return null;
      sum = sum * weight + (1 - weight) * value;
      seen = seen * weight + (1 - weight);
      return sum / seen;
    });
  }
  const drawable = (value) => (value === null || (state.log && value <= 0) ? null : value);
  const isMain = (curve) => curve.part !== "training";
  function dashOf(curve) {
    const gpu = /^gpu(\d+)$/.exec(curve.part);
    if (gpu && Number(gpu[1]) % 4) return [[6, 4], [2, 3], [10, 3, 2, 3]][(Number(gpu[1]) % 4) - 1];
    return data.runs[curve.run].dashed ? [7, 4] : undefined;
  }
  function prepare(plot) {
    plot.lines = plot.spec.curves.map((curve, index) => {
      const xs = xsOf(curve.run, data.steps[curve.steps]);
      if (!xs) return { curve, index, xs: [], raw: [], values: [], low: null, high: null, many: false };
      const raw = curve.values.map(drawable);
      const many = raw.length >= SMOOTHED_FROM && isSmoothable(plot.spec, curve);
      const weight = many ? state.smooth : 0;
      return {
        curve, index, xs, raw, many: weight > 0,
        values: weight ? smoothed(raw, weight) : raw,
        low: curve.low ? curve.low.map(drawable) : null,
        high: curve.high ? curve.high.map(drawable) : null,
      };
    });
  }
  const isNoisy = (line) => line.raw.length > 200 && !line.many;
  const isSmoothable = (spec) => !spec.title.startsWith("learning rate");
  const isBeside = (plot, curve) => !isMain(curve) && plot.spec.curves.some(isMain);
  const shown = (plot, line) => !state.hidden.has(line.curve.run) && !plot.off.has(line.index)
    && (state.training || !isBeside(plot, line.curve));

  function tables(plot) {
    // The raw curves behind, then the curves: one x for all, gaps apart from points that another curve has.
    const all = plot.lines.map((line) => [line.xs, line.many ? line.raw : line.raw.map(() => null)]);
    for (const line of plot.lines) all.push([line.xs, line.values]);
    return uPlot.join(all);
  }
  function extent() {
    let low = Infinity, high = -Infinity;
    for (const plot of plots) for (const line of plot.lines) {
      if (!line.xs.length || !shown(plot, line)) continue;
      low = Math.min(low, line.xs[0]);
      high = Math.max(high, line.xs[line.xs.length - 1]);
    }
    if (low > high) return [0, 1];
    return low === high ? [low - 0.5, high + 0.5] : [low, high];
  }
  function yRange(plot) {
    const [from, to] = state.zoom || extent();
    let low = Infinity, high = -Infinity;
    const take = (value) => {
      if (value === null || value === undefined) return;
      low = Math.min(low, value);
      high = Math.max(high, value);
    };
    for (const line of plot.lines) {
      if (!shown(plot, line)) continue;
      for (let i = 0; i < line.xs.length; i++) {
        if (line.xs[i] < from || line.xs[i] > to) continue;
        take(line.values[i]);
        if (line.many) take(line.raw[i]);
        if (state.bands && line.low) { take(line.low[i]); take(line.high[i]); }
      }
    }
    if (low > high) return state.log ? [0.1, 1] : [0, 1];
    if (state.log) {
      const room = Math.max(0.03, Math.log10(high / low) * 0.06);
      return [low / 10 ** room, high * 10 ** room];
    }
    const room = (high - low) * 0.07 || Math.abs(high) * 0.05 || 0.5;
    return [low >= 0 && low - room < 0 ? 0 : low - room, high + room];
  }

  // Drawing what uPlot does not

  const faded = (color, share) => color + Math.round(share * 255).toString(16).padStart(2, "0");
  const colorOf = (curve) => colors[`s${data.runs[curve.run].color}`];
  function inside(u, draw) {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    draw(ctx);
    ctx.restore();
  }
  function drawBands(u, plot) {
    if (!state.bands) return;
    inside(u, (ctx) => {
      for (const line of plot.lines) {
        if (!line.low || !shown(plot, line)) continue;
        ctx.fillStyle = faded(colorOf(line.curve), data.runs.length > 4 ? 0.1 : 0.17);
        let start = -1;
        for (let i = 0; i <= line.xs.length; i++) {
          const there = i < line.xs.length && line.low[i] !== null && line.high[i] !== null;
          if (there && start < 0) start = i;
          if (there || start < 0) continue;
          ctx.beginPath();
          for (let k = start; k < i; k++) ctx.lineTo(u.valToPos(line.xs[k], "x", true), u.valToPos(line.high[k], "y", true));
          for (let k = i - 1; k >= start; k--) ctx.lineTo(u.valToPos(line.xs[k], "x", true), u.valToPos(line.low[k], "y", true));
          ctx.fill();
          start = -1;
        }
      }
    });
  }
  function mainLine(plot, run) {
    const own = plot.lines.filter((line) => line.curve.run === run && line.xs.length && shown(plot, line));
    return own.find((line) => line.curve.part === "validation") || own[0];
  }
  function valueAt(line, x) {
    // Of the point nearest to x, where the curve has one that is not a gap; else nothing.
    const { xs, values } = line;
    if (!xs.length || x < xs[0] - 1e-9 || x > xs[xs.length - 1] + 1e-9) return null;
    let low = 0, high = xs.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (xs[middle] <= x) low = middle; else high = middle;
    }
    return values[x - xs[low] <= xs[high] - x ? low : high];
  }
  function diamond(ctx, x, y, size) {
    ctx.beginPath();
    ctx.moveTo(x, y - size); ctx.lineTo(x + size, y); ctx.lineTo(x, y + size); ctx.lineTo(x - size, y);
    ctx.closePath();
  }
  function star(ctx, x, y, size) {
    ctx.beginPath();
    for (let i = 0; i < 10; i++) {
      const angle = -Math.PI / 2 + (i * Math.PI) / 5, radius = i % 2 ? size * 0.45 : size;
      ctx.lineTo(x + radius * Math.cos(angle), y + radius * Math.sin(angle));
    }
    ctx.closePath();
  }
  function drawMarks(u, plot) {
    const ratio = u.pxRatio;
    const ends = [];
    inside(u, (ctx) => {
      ctx.lineWidth = 1.5 * ratio;
      ctx.strokeStyle = colors.page;
      data.runs.forEach((run, index) => {
        const line = mainLine(plot, index);
        if (!line) return;
        ctx.fillStyle = colorOf(line.curve);
        if (state.marks && plot.spec.marked) {
          const xs = xsOf(index, run.checkpoints) || [];
          for (const x of xs) {
            const value = valueAt(line, x);
            if (value === null || value === undefined) continue;
            diamond(ctx, u.valToPos(x, "x", true), u.valToPos(value, "y", true), 5 * ratio);
            ctx.fill(); ctx.stroke();
          }
          const best = plot.spec.best.find((mark) => mark[0] === index);
          const at = best && xsOf(index, [best[1]]);
          if (at && drawable(best[2]) !== null && (line.curve.part === "validation" || !line.many)) {
            star(ctx, u.valToPos(at[0], "x", true), u.valToPos(best[2], "y", true), 7.5 * ratio);
            ctx.fill(); ctx.stroke();
          }
        }
        for (let i = line.xs.length - 1; i >= 0; i--) {
          if (line.values[i] === null || line.values[i] === undefined) continue;
          const y = u.valToPos(line.values[i], "y", true);
          if (line.xs[i] <= u.scales.x.max && y >= u.bbox.top && y <= u.bbox.top + u.bbox.height) {
            ends.push({ letter: run.letter, color: colorOf(line.curve), x: u.valToPos(line.xs[i], "x", true), y });
          }
          break;
        }
      });
    });
    if (data.runs.length > 1) drawLetters(u, ends);
  }
  function drawLetters(u, ends) {
    // At the ends of the curves, moved apart where they would lie over each other.
    const { ctx, bbox, pxRatio: ratio } = u;
    const gap = 12 * ratio;
    const columns = new Map(); // curves that end near each other
    for (const end of ends.sort((a, b) => a.y - b.y)) {
      const column = Math.round(end.x / (20 * ratio));
      columns.set(column, [...(columns.get(column) || []), end]);
    }
    for (const column of columns.values()) {
      const middle = column.reduce((sum, end) => sum + end.y, 0) / column.length;
      column.forEach((end, i) => { if (i) end.y = Math.max(end.y, column[i - 1].y + gap); });
      const moved = column.reduce((sum, end) => sum + end.y, 0) / column.length - middle;
      column.forEach((end) => { end.y -= moved; });
      let floor = bbox.top + bbox.height - gap / 2;
      for (const end of column.reverse()) { end.y = Math.min(end.y, floor); floor = end.y - gap; }
    }
    ctx.save();
    ctx.font = `700 ${11 * ratio}px system-ui, sans-serif`;
    ctx.textBaseline = "middle";
    for (const end of ends) {
      ctx.fillStyle = end.color;
      ctx.fillText(end.letter, end.x + 9 * ratio, end.y);
    }
    ctx.restore();
  }

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
})();
