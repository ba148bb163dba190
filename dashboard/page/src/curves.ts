// The strip of curves: small multiples of uPlot with one cursor.

import uPlot from 'uplot';
import { count, el } from './dom';
import type { News } from './types';

interface Curve {
  name: string;
  title: string;
  unit: string;
  hint: string;
  top?: number; // of the scale, where it has one; the curve goes in steps then
}

const CURVES: Curve[] = [
  { name: 'events_per_s', title: 'Throughput', unit: 'events/s', hint: 'Events read by all workers, a second' },
  { name: 'latency_ms', title: 'End to end', unit: 'ms', hint: 'From the read of the event that closes a window to its results at the sink, median' },
  { name: 'lag_ms', title: 'Watermark lag', unit: 'ms', hint: 'The newest event against the least watermark of all partitions' },
  { name: 'dead_letters', title: 'Dead letters', unit: 'in all', hint: 'Inputs that could not become events' },
  { name: 'late', title: 'Late', unit: 'in all', hint: 'Events too late for every window' },
  { name: 'level', title: 'Degradation', unit: 'level', hint: '0 none, 1 minor, 2 major, 3 critical, 4 emergency', top: 4 },
  { name: 'emergence', title: 'Emergence', unit: 'Φ', hint: 'Integrated information over the regions' },
];
const SPAN_S = 180;

export class Curves {
  private plots: { curve: Curve; plot: uPlot; value: HTMLElement; why: HTMLElement; card: HTMLElement }[] = [];
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
      const [box, why] = [el('div', { class: 'plot' }), el('p', { class: 'why', 'data-why': curve.name })];
      const card = el('div', { class: 'curve', title: curve.hint }, el('h3', {}, curve.title), el('span', { class: 'value' }, value, el('span', { class: 'unit' }, ` ${curve.unit}`)), box, why);
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
          scales: { x: { time: true }, y: { range: (_, low, high) => (curve.top ? [0, curve.top * 1.12] : range(low, high)) } },
          axes: [{ show: false }, { show: false }],
          series: [{}, { stroke, width: 1.6, fill: `${stroke}22`, spanGaps: true, points: { show: false }, ...(curve.top ? { paths: uPlot.paths.stepped!({ align: 1 }) } : {}) }],
        },
        [[], []],
        box,
      );
      return { curve, plot, value, why, card };
    });
    this.size();
    this.redraw();
  }

  add({ curves, samples, unknown }: News): void {
    for (const { curve, why } of this.plots) why.textContent = unknown[curve.name] ?? 'nothing yet';
    if (!samples.length) return;
    this.names = curves;
    const last = this.samples.at(-1)?.[0] ?? 0;
    if (samples[0][0]! <= last) this.samples = [];
    this.samples.push(...samples);
    const newest = this.samples.at(-1)![0]!;
    this.samples = this.samples.filter((sample) => sample[0]! > newest - SPAN_S);
    this.redraw();
  }

  /** The samples of a curve that are drawn, the oldest first. */
  values(name: string): (number | null)[] {
    return this.samples.map((sample) => sample[this.names.indexOf(name)]);
  }

  private redraw(): void {
    if (!this.samples.length) return;
    const times = this.samples.map((sample) => sample[0]!);
    for (const { curve, plot, value, card } of this.plots) {
      const at = this.names.indexOf(curve.name);
      const values = this.samples.map((sample) => sample[at]);
      const known = values.filter((v): v is number => v !== null);
      card.classList.toggle('unknown', !known.length);
      value.textContent = known.length ? count(known.at(-1)) : '';
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
