"use strict";
// What the plots of a report are drawn from: its data, how it is looked at, the curves that follow from both.

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
