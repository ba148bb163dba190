// The flow's graph with live rates, and where time goes.

import { count, el } from './dom';
import type { News } from './types';

const NS = 'http://www.w3.org/2000/svg';
const [ROW, TALL] = [58, 45]; // from row to row, and a step of it
const [WIDE, GAP, WIDEST] = [318, 7, 150];
const PASSING = /^to_level_|^levels$/; // steps that only pass on what they are given

export class Flow {
  private before?: { at: number; steps: News['graph']['steps'] };
  private rates: Record<string, [number, number]> = {};

  constructor(private readonly root: HTMLElement) {}

  show(news: News): void {
    const { steps } = news.graph;
    const names = Object.keys(steps).filter((name) => !PASSING.test(name));
    if (!names.length) {
      this.root.replaceChildren(el('p', { class: 'empty', id: 'no-graph' }, news.unknown.graph));
      return;
    }
    const span = this.before ? news.now_s - this.before.at : 0;
    if (!this.before || span >= 1) {
      if (this.before && span > 0)
        for (const name of names) {
          const [s0, , i0] = this.before.steps[name] ?? [0, 0, 0];
          const fresh = [Math.max(0, steps[name][0] - s0) / span, Math.max(0, steps[name][2] - i0) / span];
          const old = this.rates[name] ?? fresh;
          this.rates[name] = [old[0] * 0.5 + fresh[0] * 0.5, old[1] * 0.5 + fresh[1] * 0.5];
        }
      this.before = { at: news.now_s, steps };
      this.draw(names, through(news.graph.edges));
    }
  }

  private draw(names: string[], edges: [string, string][]): void {
    const depth: Record<string, number> = {};
    for (const name of names) depth[name] = 0;
    for (let pass = 0; pass < names.length; pass++) for (const [a, b] of edges) depth[b] = Math.max(depth[b] ?? 0, (depth[a] ?? 0) + 1);
    const rows: string[][] = [];
    for (const name of names) (rows[depth[name]] ??= []).push(name);
    const place: Record<string, { x: number; y: number; w: number }> = {};
    rows.forEach((row, y) => {
      const w = Math.min(WIDEST, (WIDE - GAP * (row.length - 1)) / row.length);
      const left = (WIDE - w * row.length - GAP * (row.length - 1)) / 2;
      row.forEach((name, i) => (place[name] = { x: left + i * (w + GAP), y: y * ROW, w }));
    });
    const total = names.reduce((sum, name) => sum + (this.rates[name]?.[0] ?? 0), 0);
    const most = Math.max(...names.map((name) => this.rates[name]?.[0] ?? 0), 1e-9);
    const svg = document.createElementNS(NS, 'svg');
    svg.setAttribute('viewBox', `-2 -2 ${WIDE + 4} ${rows.length * ROW}`);
    svg.setAttribute('role', 'img');
    svg.setAttribute('aria-label', 'Steps of the flow');
    for (const [a, b] of edges) {
      const [from, to] = [place[a], place[b]];
      if (!from || !to) continue;
      const [x0, y0, x1, y1] = [from.x + from.w / 2, from.y + TALL, to.x + to.w / 2, to.y];
      svg.append(shape('path', { d: `M${x0},${y0} C${x0},${y0 + 9} ${x1},${y1 - 9} ${x1},${y1}`, class: 'edge' }));
    }
    for (const name of names) {
      const { x, y, w } = place[name];
      const [busy, items] = this.rates[name] ?? [0, 0];
      const group = shape('g', { transform: `translate(${x},${y})`, class: 'step' });
      group.append(
        shape('rect', { width: `${w}`, height: `${TALL}`, rx: '6' }),
        shape('rect', { width: `${Math.max(0, (w * busy) / most)}`, height: `${TALL}`, rx: '6', class: 'busy' }),
        ...lines(name.replaceAll('_', ' '), w).map((line, i) => text(line, 7, 14 + 12 * i, 'name')),
        text(`${(100 * (total ? busy / total : 0)).toFixed(0)} %${w > 70 ? ` · ${items ? rate(items) : 0}/s` : ''}`, 7, 39, 'rate'),
      );
      group.append(title(`${name}: ${(busy * 1000).toFixed(1)} ms of work a second in all workers, ${count(items)} items out a second`));
      svg.append(group);
    }
    const legend = el('p', { class: 'note' }, 'Share of the time at work, and items out a second (an item is a batch, a shard’s message or a result).');
    this.root.replaceChildren(svg, legend);
  }
}

/** A name in one line, or in two. */
function lines(name: string, width: number): string[] {
  const most = Math.floor((width - 12) / 5.9);
  if (name.length <= most) return [name];
  const at = name.lastIndexOf(' ', most);
  const parts = at > 0 ? [name.slice(0, at), name.slice(at + 1)] : [name];
  return parts.map((part) => (part.length > most ? `${part.slice(0, most - 1)}…` : part));
}

/** The edges without the steps that only pass on: who leads to one of them leads to whatever follows it. */
function through(edges: [string, string][]): [string, string][] {
  let found = edges;
  for (let pass = found.find(([, b]) => PASSING.test(b)); pass; pass = found.find(([, b]) => PASSING.test(b))) {
    const gone = pass[1];
    const [before, after] = [found.filter(([, b]) => b === gone).map(([a]) => a), found.filter(([a]) => a === gone).map(([, b]) => b)];
    found = [...found.filter(([a, b]) => a !== gone && b !== gone), ...before.flatMap((a) => after.map((b): [string, string] => [a, b]))];
  }
  return found;
}

const rate = (items: number): string => (items < 10 ? items.toFixed(1) : count(items));

function shape(tag: string, attributes: Record<string, string>): SVGElement {
  const made = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function text(content: string, x: number, y: number, kind: string): SVGElement {
  const made = shape('text', { x: `${x}`, y: `${y}`, class: kind });
  made.textContent = content;
  return made;
}

function title(content: string): SVGElement {
  const made = shape('title', {});
  made.textContent = content;
  return made;
}
