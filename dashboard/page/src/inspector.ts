// What was clicked: an agent or a cell, its values, its history, and the reasons of its alerts.

import uPlot from 'uplot';
import { clock, count, day, el } from './dom';
import type { Alert } from './types';

type Row = Record<string, number | string | null>;

interface Answer {
  complete: boolean;
  took_ms: number;
  workers: { worker: string; answered: boolean; took_ms: number }[];
  answer: Row[];
}

export interface Found {
  path: [number, number, number][];
  at?: [number, number, number];
}

const LINES: [string, string, string][] = [
  ['speed_mps', 'speed', 'm/s'],
  ['energy', 'energy', 'J/kg'],
  ['score', 'score', ''],
  ['heading_rad', 'heading', 'rad'],
  ['x_m', 'x', 'm'],
  ['y_m', 'y', 'm'],
  ['z_m', 'height', 'm'],
];

async function ask(path: string): Promise<Answer> {
  const answer = await fetch(`/api/v1/${path}`);
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error ?? answer.statusText);
  return body;
}

export class Inspector {
  private turn = 0;
  selected: { agent?: string; cell?: [string, number, number, number, string] } = {};

  constructor(
    private readonly root: HTMLElement,
    private readonly onFound: (found: Found) => void,
  ) {}

  close(): void {
    this.turn++;
    this.selected = {};
    this.root.hidden = true;
    this.onFound({ path: [] });
  }

  /** Show the agent at a place: what is drawn is quantised, so the nearest one is meant. */
  async near(position_m: [number, number, number]): Promise<void> {
    const { answer } = await ask(`agents?near=${position_m.join(',')}&k=1`);
    if (answer.length) await this.agent(String(answer[0].agent_id));
  }

  async agent(id: string): Promise<void> {
    const turn = ++this.turn;
    this.selected = { agent: id };
    const [now, history, alerts] = await Promise.all([ask(`agents?id=${id}`), ask(`agents/${id}/history`), ask(`alerts?agent_id=${id}&limit=3`)]);
    if (turn !== this.turn) return;
    const row = now.answer[0];
    const path = history.answer.map((h) => [h.x_m, h.y_m, h.z_m] as [number, number, number]);
    const name = row?.agent ?? (alerts.answer[0]?.agent as string | undefined) ?? id;
    this.frame(
      `Agent ${name}`,
      row ? `level ${row.level} · last heard ${clock(row.time_us as number)}` : 'has not been heard of lately',
      row ? table(LINES.filter(([key]) => row[key] !== null).map(([key, label, unit]) => [label, `${count(row[key] as number)} ${unit}`])) : null,
      reasons(alerts.answer as unknown as Alert[]),
      chart('Speed', 'm/s', history.answer, 'time_us', 'speed_mps'),
      chart('Score', '', history.answer, 'time_us', 'score'),
      took(now),
    );
    if (row) path.push([row.x_m, row.y_m, row.z_m] as [number, number, number]);
    this.onFound({ path, at: path.at(-1) });
  }

  async cell(window: string, cx: number, cy: number, cz: number, column: string, alert?: Alert): Promise<void> {
    const turn = ++this.turn;
    this.selected = { cell: [window, cx, cy, cz, column] };
    const found = await ask(`cells?window=${window}&cells=${cx},${cy},${cz},${cx},${cy},${cz}&starts=120`);
    if (turn !== this.turn) return;
    const last = found.answer.at(-1);
    const values = Object.entries(last ?? {}).filter(([name, value]) => typeof value === 'number' && !/^(c[xyz]|.*_us|revision|shard)$/.test(name));
    this.frame(
      `Cell ${cx}, ${cy}, ${cz}`,
      last ? `${window} · ${day(last.start_us as number)} ${clock(last.start_us as number)} to ${clock(last.end_us as number)}` : 'nothing there lately',
      table(values.map(([name, value]) => [name.replaceAll('_', ' '), count(value as number)])),
      chart(column.replaceAll('_', ' '), '', found.answer, 'start_us', column),
      alert ? reasons([alert]) : null,
      took(found),
    );
    this.onFound({ path: [] });
  }

  private frame(title: string, sub: string, ...body: (Node | null)[]): void {
    const close = el('button', { class: 'icon', 'aria-label': 'Close', click: () => this.close() }, '✕');
    this.root.replaceChildren(el('div', { class: 'head' }, el('div', {}, el('h2', {}, title), el('p', { class: 'note' }, sub)), close));
    this.root.append(...body.filter((part): part is Node => part !== null));
    this.root.hidden = false;
  }
}

function table(rows: [string, string][]): HTMLElement {
  return el('table', {}, ...rows.map(([name, value]) => el('tr', {}, el('th', {}, name), el('td', {}, value))));
}

function chart(title: string, unit: string, rows: Row[], x: string, y: string): HTMLElement | null {
  const known = rows.filter((row) => row[y] !== null && row[y] !== undefined);
  if (known.length < 2) return null;
  const box = el('div', { class: 'history' }, el('h3', {}, unit ? `${title}, ${unit}` : title));
  const style = getComputedStyle(document.documentElement);
  const [stroke, ink, grid] = ['--accent', '--muted', '--line'].map((name) => style.getPropertyValue(name).trim());
  const axis = { stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { show: false }, font: '10px system-ui' };
  new uPlot(
    {
      width: 286, height: 110, legend: { show: false }, cursor: { y: false },
      axes: [{ ...axis, space: 70, values: (_, at) => at.map((t) => new Date(t * 1000).toISOString().slice(11, 19)) }, { ...axis, size: 44 }],
      series: [{}, { stroke, width: 1.6, fill: `${stroke}22` }],
    },
    [known.map((row) => (row[x] as number) / 1e6), known.map((row) => row[y] as number)],
    box,
  );
  return box;
}

function reasons(alerts: Alert[]): HTMLElement | null {
  if (!alerts.length) return null;
  const items = alerts.map((a) => el('li', {}, el('time', {}, clock(a.time_us)), ` score ${count(a.score)} above ${count(a.threshold)}`, el('p', {}, a.reason ?? '')));
  return el('div', {}, el('h3', {}, 'Its last alerts'), el('ul', { class: 'reasons' }, ...items));
}

function took(answer: Answer): HTMLElement {
  const said = answer.workers.map((w) => `${w.worker} ${w.answered ? `${w.took_ms.toFixed(1)} ms` : 'no answer'}`).join(', ');
  return el('p', { class: 'note' }, `Answered in ${answer.took_ms.toFixed(1)} ms: ${said}${answer.complete ? '' : ' (not complete)'}`);
}
