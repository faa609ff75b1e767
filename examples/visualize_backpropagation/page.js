// The chain of factors, and the charts of the deep networks.
'use strict';

const $ = (id) => document.getElementById(id);
const data = JSON.parse($('data').textContent);

// ---- vanishing

$('vanishing').innerHTML = data.vanishing.map((gradient, i) =>
  `<li><span>Layer ${i + 1}</span><i style="width: ${(100 * gradient) / data.vanishing[0]}%"></i><b>${Number(gradient.toPrecision(6))}</b></li>`).join('');

// ---- the deep networks

const flow = { at: 0, layer: 1 };
const flowSteps = data.flows[0].steps;
const layers = data.flows[0].norms[0].length;
const normRange = () => [-22, 2];
const layerColumns = () => [
  Array.from({ length: layers }, (_, l) => l + 1),
  ...data.flows.map((network) => network.norms[flow.at]),
];
const timeColumns = () => [flowSteps, ...data.flows.map((network) => network.norms.map((norms) => norms[flow.layer - 1]))];

const layerChart = lineChart('layer-chart', {
  columns: layerColumns(), xLabel: 'layer', height: 340, y: normRange, yValues: powerOfTen, mark: () => null, widths: 2.5,
});
const timeChart = lineChart('time-chart', {
  columns: timeColumns(), xLabel: 'training step', height: 260, y: normRange, yValues: powerOfTen, mark: () => flowSteps[flow.at],
});
const lossChart = lineChart('loss-chart', {
  columns: [flowSteps, ...data.flows.map((network) => network.loss)],
  xLabel: 'training step', height: 260, y: (_, low, high) => [0, 1.05 * high], mark: () => flowSteps[flow.at],
});

const minus = (text) => text.replace('-', '−');
const log = (norm) => (norm === null ? '−∞' : minus(norm.toFixed(1)));
/** How many times smaller network i's first gradient is at layer 1 than at the last: one digit, or a power of ten. */
function lost(i) {
  const [first, last] = [data.flows[i].norms[0][0], data.flows[i].norms[0].at(-1)];
  return last - first < 4 ? String(Number((10 ** (last - first)).toPrecision(1))) : powerOfTen(Math.round(last - first));
}
$('sigmoid-loss').textContent = lost(0);
$('relu-loss').textContent = lost(1);
$('guess').textContent = data.guess.toFixed(2);
function showFlow() {
  flow.at = Number($('flow').value);
  $('flow-text').textContent = `${flowSteps[flow.at]} of ${flowSteps.at(-1)}`;
  $('flow').setAttribute('aria-valuetext', $('flow-text').textContent);
  layerChart.setData(layerColumns());
  timeChart.redraw(false);
  lossChart.redraw(false);
  $('flows').tBodies[0].innerHTML = data.flows.map((network, i) => {
    const norms = network.norms[flow.at];
    return `<tr><th scope="row">${swatch(i)}${network.name}</th>` +
      `<td>${log(norms[0])}</td><td>${log(norms.at(-1))}</td><td>${network.loss[flow.at].toFixed(2)}</td></tr>` +
      `<tr class="what"><td colspan="4">${network.what}</td></tr>`;
  }).join('');
}
function showLayer() {
  flow.layer = Number($('layer').value);
  $('layer-text').textContent = `${flow.layer} of ${layers}`;
  $('layer').setAttribute('aria-valuetext', $('layer-text').textContent);
  timeChart.setData(timeColumns());
}
$('flow').max = flowSteps.length - 1;
$('flow').addEventListener('input', showFlow);
$('layer').max = layers;
$('layer').addEventListener('input', showLayer);

showFlow();
showLayer();
