"use strict";
// What uPlot does not draw: bands, the best step, checkpoints, the letters at the ends of the curves.

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
