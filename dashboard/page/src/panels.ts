// The panels beside the map: what is shown, the hierarchy, alerts, health.

import { clock, count, day, el } from './dom';
import { LEVELS, LEVEL_NAMES } from './palette';
import type { Look } from './scene';
import type { Alert, News } from './types';

const LISTED = 150;

export class Levels {
  private rows: { count: HTMLElement; bar: HTMLElement; row: HTMLElement; dot: HTMLElement }[] = [];

  constructor(
    root: HTMLElement,
    private readonly look: Look,
    onChange: () => void,
  ) {
    root.append(el('h2', {}, 'Hierarchy'));
    const tree = el('ul', { class: 'tree', role: 'tree', 'aria-label': 'Seven levels' });
    for (let level = 6; level >= 0; level--) {
      const [number, bar, dot] = [el('b', { 'data-level': `${level}` }, '–'), el('i', {}), el('span', { class: 'dot' })];
      const toggle = (): void => {
        if (look.hidden.has(level)) look.hidden.delete(level);
        else look.hidden.add(level);
        row.setAttribute('aria-checked', String(!look.hidden.has(level)));
        onChange();
      };
      const row = el(
        'button',
        { role: 'treeitem', 'aria-checked': 'true', class: 'level', title: `Show or hide level ${level}`, click: toggle },
        dot, el('span', { class: 'label' }, `${level} ${LEVEL_NAMES[level]}`), number, bar,
      );
      row.style.setProperty('--depth', String(6 - level));
      tree.append(el('li', { role: 'none' }, row));
      this.rows[level] = { count: number, bar, row, dot };
    }
    root.append(tree);
    this.paint();
  }

  paint(): void {
    this.rows.forEach(({ dot, bar }, level) => {
      const colour = `rgb(${LEVELS[this.look.theme][level].join(',')})`;
      dot.style.background = colour;
      bar.style.background = colour;
    });
  }

  show(counts: number[]): void {
    const most = Math.log10(Math.max(...counts, 1) + 1);
    counts.forEach((n, level) => {
      const { count: number, bar, row } = this.rows[level];
      number.textContent = count(n);
      bar.style.width = `${most ? (100 * Math.log10(n + 1)) / most : 0}%`;
      row.classList.toggle('none', n === 0);
    });
  }
}

export class Alerts {
  private readonly list = el('ol', { class: 'alerts', 'aria-live': 'polite' });
  private readonly empty = el('p', { class: 'empty' }, 'No alerts yet. They appear here as they are raised.');
  private readonly known = new Map<string, { item: HTMLElement; times: number }>();

  constructor(
    root: HTMLElement,
    private readonly onClick: (alert: Alert) => void,
  ) {
    root.append(this.empty, this.list);
  }

  /** Put alerts on top; those about one agent or cell are one entry, that of the newest. */
  add(alerts: Alert[]): void {
    for (const alert of alerts) {
      const about = alert.kind === 'agent' ? `agent ${alert.agent_id}` : `${alert.window} ${alert.cx} ${alert.cy} ${alert.cz} ${alert.kind}`;
      const before = this.known.get(about);
      before?.item.remove();
      const times = (before?.times ?? 0) + 1;
      const item = this.entry(alert, times);
      this.known.delete(about);
      this.known.set(about, { item, times });
      this.list.prepend(item);
    }
    for (const [about, { item }] of this.known) {
      if (this.known.size <= LISTED) break;
      item.remove();
      this.known.delete(about);
    }
    this.empty.hidden = this.known.size > 0;
  }

  private entry(alert: Alert, times: number): HTMLElement {
    const who = alert.kind === 'agent' ? (alert.agent ?? alert.agent_id ?? '') : alert.kind === 'cell' ? `cell ${alert.cx}, ${alert.cy}, ${alert.cz}` : alert.kind;
    const over = alert.score !== null && alert.threshold ? alert.score / alert.threshold : null;
    return el(
      'li',
      {},
      el(
        'button',
        { class: `alert ${alert.kind}`, 'data-alert': `${alert.number}`, type: 'button', click: () => this.onClick(alert) },
        el('span', { class: 'mark', 'aria-hidden': 'true' }, alert.kind === 'agent' ? '▲' : '■'),
        el('span', { class: 'who' }, who, times > 1 ? el('small', {}, `  ${times} times`) : null),
        el('time', {}, clock(alert.time_us)),
        el('span', { class: 'why' }, alert.reason ?? ''),
        el('span', { class: 'over', title: 'Score by threshold' }, over ? `${over.toFixed(2)}×` : ''),
      ),
    );
  }
}

export class Health {
  constructor(private readonly root: HTMLElement) {}

  show(news: News, live: boolean, fps: number): void {
    const cluster = news.cluster;
    const rows = news.components.map((c) => [c.name, c.status, `${(100 * c.cpu_share).toFixed(0)} % CPU`, `${c.memory_mb.toFixed(0)} MB`]);
    rows.unshift(['dashboard', live ? 'healthy' : 'lost', '', '']);
    if (cluster && cluster.wanted > news.components.length)
      for (let k = news.components.length; k < cluster.wanted; k++) rows.push([`worker ${k}`, cluster.state, '', '']);
    const table = el('table', { class: 'health' });
    for (const [name, status, ...rest] of rows)
      table.append(el('tr', {}, el('th', {}, name), el('td', {}, el('span', { class: `status ${status}` }, status)), ...rest.map((text) => el('td', {}, text))));
    const a = news.account;
    const fates = Object.keys(a).filter((name) => name !== 'events_in');
    const whole = a.events_in === fates.reduce((sum, name) => sum + a[name], 0);
    const account = el(
      'table',
      { class: 'account' },
      ...['events_in', ...fates].map((name) =>
        el('tr', {}, el('th', {}, name.replace('_', ' ')), el('td', { 'data-account': name }, a[name].toLocaleString('en'))),
      ),
    );
    const parts: Node[] = [el('h3', {}, 'Components'), table];
    if (cluster) parts.push(el('p', { class: 'note' }, `Cluster ${cluster.state}: ${cluster.nodes} of ${cluster.most ?? cluster.wanted} processes, ${cluster.restarts ?? 0} restarts`));
    if (cluster?.killed?.back_s) parts.push(el('p', { class: 'note' }, `Process ${cluster.killed.pid} was killed; the rest went on after ${cluster.killed.back_s.toFixed(2)} s.`));
    parts.push(
      el('h3', {}, 'Account'), account,
      el('p', { class: 'note' }, whole ? 'Every event is accounted for.' : 'Some events are between the source and the sink.'),
    );
    if (news.watermark_us) parts.push(el('p', { class: 'note' }, `Watermark ${day(news.watermark_us)} ${clock(news.watermark_us)} UTC`));
    parts.push(el('p', { class: 'note' }, `This page draws ${count(fps)} frames a second.`));
    this.root.replaceChildren(...parts);
  }
}
