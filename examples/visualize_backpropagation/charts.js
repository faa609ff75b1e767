// Charts by uPlot in the page's colours, which follow the colour scheme.
'use strict';

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const dashes = [[], [], [9, 4], [3, 3], [12, 3, 3, 3]];
const allCharts = [];

/** 10 to an integer power, as text. */
const powerOfTen = (exponent) => '10' + [...String(exponent)].map((c) => (c === '-' ? '⁻' : '⁰¹²³⁴⁵⁶⁷⁸⁹'[c])).join('');

/**
 * A line chart in the element of this id. `columns` are x and one column for each series; `mark` gives the x of a
 * vertical line, or null; `y` is a range, or absent.
 */
function lineChart(id, { columns, xLabel, height, y, yValues, mark, widths }) {
  const host = document.getElementById(id);
  const axis = {
    stroke: () => css('--soft'),
    grid: { stroke: () => css('--line'), width: 1 },
    ticks: { show: false },
    font: '12px system-ui, sans-serif',
    labelFont: '13px system-ui, sans-serif',
  };
  const drawMark = (plot) => {
    const x = mark();
    if (x === null) return;
    const at = plot.valToPos(x, 'x', true);
    const { top, height: h } = plot.bbox;
    plot.ctx.save();
    plot.ctx.strokeStyle = css('--soft');
    plot.ctx.lineWidth = devicePixelRatio;
    plot.ctx.beginPath();
    plot.ctx.moveTo(at, top);
    plot.ctx.lineTo(at, top + h);
    plot.ctx.stroke();
    plot.ctx.restore();
  };
  const plot = new uPlot(
    {
      width: Math.max(host.clientWidth, 200),
      height,
      legend: { show: false },
      cursor: { show: false },
      scales: { x: { time: false }, y: y ? { range: y } : {} },
      axes: [
        { ...axis, label: xLabel, labelSize: 22, size: 30 },
        { ...axis, size: 52, ...(yValues ? { values: (_, splits) => splits.map(yValues) } : {}) },
      ],
      series: [
        {},
        ...columns.slice(1).map((_, i) => ({
          stroke: () => css(`--series-${i}`),
          width: widths ?? 2,
          dash: dashes[i],
          points: { show: false },
        })),
      ],
      hooks: { draw: [drawMark] },
    },
    columns,
    host,
  );
  new ResizeObserver(() => {
    if (host.clientWidth && host.clientWidth !== plot.width) plot.setSize({ width: host.clientWidth, height });
  }).observe(host);
  allCharts.push(plot);
  return plot;
}

matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => allCharts.forEach((plot) => plot.redraw()));

/** The line of series i, for a legend. */
const swatch = (i) =>
  `<svg width="30" height="10" aria-hidden="true"><line x1="0" y1="5" x2="30" y2="5" stroke="var(--series-${i})" ` +
  `stroke-width="3" stroke-dasharray="${dashes[i].join(' ')}"/></svg>`;
