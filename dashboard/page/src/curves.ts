// The strip of curves: small multiples of uPlot with one cursor.

import uPlot from 'uplot';
import { count, el } from './dom';

interface Curve {
  name: string;
  title: string;
  unit: string;
  hint: string;
  total?: boolean;
}

const CURVES: Curve[] = [
  { name: 'events_per_s', title: 'Throughput', unit: 'events/s', hint: 'Events read by all workers, a second' },
  { name: 'latency_ms', title: 'End to end', unit: 'ms', hint: 'From the read of the event that closes a window to its results at the sink, median' },
  { name: 'lag_ms', title: 'Watermark lag', unit: 'ms', hint: 'The newest event against the least watermark of all partitions' },
  { name: 'dead_letters', title: 'Dead letters', unit: 'in all', hint: 'Inputs that could not become events', total: true },
  { name: 'late', title: 'Late', unit: 'in all', hint: 'Events too late for every window', total: true },
  { name: 'level', title: 'Degradation', unit: 'level', hint: '0 none to 4 emergency' },
  { name: 'emergence', title: 'Emergence', unit: 'Φ', hint: 'Integrated information over the regions' },
];
const SPAN_S = 180;

export class Curves {
  private plots: { curve: Curve; plot: uPlot; value: HTMLElement; card: HTMLElement }[] = [];
  private names: string[] = [];
  private samples: (number | null)[][] = [];

  constructor(private readonly root: HTMLElement) {
    this.build();
    new ResizeObserver(() => this.size()).observe(root);
  }

  build(): void {
    this.root.replaceChildren();
    this.plots = CURVES.map((curve) => {
      const value = el('b', { 'data-curve': curve.name }, '–');
      const box = el('div', { class: 'plot' });
      const card = el('div', { class: 'curve', title: curve.hint }, el('h3', {}, curve.title), el('span', { class: 'value' }, value, el('span', { class: 'unit' }, ` ${curve.unit}`)), box);
      this.root.append(card);
      const style = getComputedStyle(document.documentElement);
      const stroke = style.getPropertyValue('--accent').trim();
      const plot = new uPlot(
        {
          width: 160,
          height: 58,
          padding: [4, 2, 0, 2],
          cursor: { sync: { key: 'strip' }, points: { size: 5 }, y: false },
          legend: { show: false },
          scales: { x: { time: true }, y: { range: (_, low, high) => range(low, high) } },
          axes: [{ show: false }, { show: false }],
          series: [{}, { stroke, width: 1.6, fill: `${stroke}22`, spanGaps: true, points: { show: false } }],
        },
        [[], []],
        box,
      );
      return { curve, plot, value, card };
    });
    this.size();
    this.redraw();
  }

  add(names: string[], samples: (number | null)[][]): void {
    if (!samples.length) return;
    this.names = names;
    const last = this.samples.at(-1)?.[0] ?? 0;
    if (samples[0][0]! <= last) this.samples = [];
    this.samples.push(...samples);
    const newest = this.samples.at(-1)![0]!;
    this.samples = this.samples.filter((sample) => sample[0]! > newest - SPAN_S);
    this.redraw();
  }

  private redraw(): void {
    if (!this.samples.length) return;
    const times = this.samples.map((sample) => sample[0]!);
    for (const { curve, plot, value, card } of this.plots) {
      const at = this.names.indexOf(curve.name);
      const values = this.samples.map((sample) => sample[at]);
      const known = values.filter((v): v is number => v !== null);
      card.classList.toggle('unknown', !known.length);
      value.textContent = known.length ? count(known.at(-1)) : 'not in this flow';
      plot.setData([times, values], false);
      const newest = times.at(-1)!;
      plot.setScale('x', { min: newest - SPAN_S, max: newest });
    }
  }

  private size(): void {
    for (const { plot, card } of this.plots) plot.setSize({ width: Math.max(60, card.clientWidth - 2), height: 58 });
  }
}

function range(low: number | null, high: number | null): [number, number] {
  if (low === null || high === null) return [0, 1];
  return [low < 0 ? low * 1.12 : 0, high > 0 ? high * 1.12 : low < 0 ? 0 : 1];
}
