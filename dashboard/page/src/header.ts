// The line at the top: whether it is live, the numbers that matter, and the buttons.

import { byId, clock, count, day, el } from './dom';
import type { Status } from './link';
import type { Cluster, News } from './types';
import { button, icon } from './widgets';

const KPIS: [string, string][] = [['agents', 'agents'], ['rate', 'events/s'], ['latency', 'ms end to end'], ['alerts', 'alerts']];

interface Actions {
  pause: () => void;
  kill: () => void;
  restore: () => void;
  theme: () => void;
  help: () => void;
}

export class Header {
  private readonly pill = el('span', { class: 'pill', id: 'pill' });
  private readonly when = el('span', { class: 'when' });
  private readonly kpis: Record<string, HTMLElement> = {};
  private readonly pauseButton: HTMLButtonElement;
  private readonly kill: HTMLButtonElement;
  private readonly restore: HTMLButtonElement;

  constructor(name: string, actions: Actions) {
    this.pauseButton = button('Pause', 'Pause the picture (space)', actions.pause);
    this.kill = button('Kill a worker', 'Kill one process of the cluster with SIGKILL, and see it come back', actions.kill);
    this.restore = button('Restore', 'Ask for as many processes as there were', actions.restore);
    this.kill.classList.add('danger');
    this.kill.hidden = this.restore.hidden = true;
    this.kill.id = 'kill';
    const kpis = KPIS.map(([key, label]) => {
      this.kpis[key] = el('span', { class: 'k', 'data-kpi': key }, '–');
      return el('div', { class: 'kpi' }, this.kpis[key], el('small', {}, label));
    });
    byId('header').append(
      el('div', { class: 'brand' }, el('img', { src: '/icon.svg', alt: '', width: '22', height: '22' }), el('b', {}, 'AURA'), el('span', { class: 'config' }, name)),
      this.pill, this.when, el('div', { class: 'kpis' }, ...kpis),
      el('div', { class: 'buttons' }, this.kill, this.restore, this.pauseButton, icon('◐', 'Dark or light (D)', actions.theme), icon('?', 'Keys (?)', actions.help)),
    );
  }

  show(news: News): void {
    this.kpis.agents.textContent = count(news.agents);
    this.kpis.alerts.textContent = count(news.counts.alerts);
    const last = (name: string): number | null | undefined => news.samples.at(-1)?.[news.curves.indexOf(name)];
    if (news.samples.length) this.kpis.rate.textContent = count(last('events_per_s'));
    const latency = last('latency_ms');
    if (latency !== null && latency !== undefined) this.kpis.latency.textContent = count(latency);
    this.when.textContent = news.time_us ? `${day(news.time_us)} ${clock(news.time_us)} UTC` : '';
  }

  cluster(cluster: Cluster | null): void {
    this.kill.hidden = !cluster;
    if (!cluster) return;
    this.kill.toggleAttribute('disabled', cluster.state !== 'running' || cluster.nodes < 2);
    this.restore.hidden = !(cluster.state === 'running' && cluster.most !== undefined && cluster.nodes < cluster.most);
  }

  status(status: Status, paused: boolean, cluster?: Cluster | null): void {
    const down = cluster && !['running', 'ended'].includes(cluster.state);
    const [kind, text] = status !== 'live' ? ['lost', status === 'connecting' ? 'connecting' : 'reconnecting…'] : paused ? ['paused', 'paused'] : down ? ['waiting', `cluster ${cluster.state}`] : ['live', 'live'];
    this.pill.className = `pill ${kind}`;
    this.pill.textContent = text;
    this.pauseButton.textContent = paused ? 'Live' : 'Pause';
    this.pauseButton.setAttribute('aria-pressed', String(paused));
  }
}
