// Alerts as they come, the newest first.

import { clock, el } from './dom';
import type { Alert } from './types';

const LISTED = 150;

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

