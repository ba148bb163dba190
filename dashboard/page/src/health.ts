// How the flow is: each problem with what to do, every component, the processes, and the account of every event.

import { clock, count, day, el } from './dom';
import type { HealthComponent, News } from './types';

export class Health {
  constructor(private readonly root: HTMLElement) {}

  show(news: News, live: boolean, fps: number): void {
    const components = componentsOf(news, live);
    this.root.replaceChildren(
      headline(news, components),
      ...problems(news, components),
      el('h3', {}, 'Components'), table(components),
      ...(news.health.components.length ? [] : [el('p', { class: 'note' }, news.unknown.health)]),
      ...processes(news),
      ...decisions(news),
      ...account(news),
      ...(news.watermark_us ? [el('p', { class: 'note' }, `Watermark ${day(news.watermark_us)} ${clock(news.watermark_us)} UTC`)] : []),
      el('p', { class: 'note' }, `This page draws ${count(fps)} frames a second.`),
    );
  }
}

/** Return the components as the flow says them, with what the server and this page know by themselves. */
function componentsOf(news: News, live: boolean): HealthComponent[] {
  const own = { required: true, who: '', todo: '', detail: '' };
  const found: HealthComponent[] = [{ ...own, name: 'this page', state: live ? 'healthy' : 'failed', detail: live ? '' : 'the server does not answer', todo: live ? '' : 'It is tried again until it does' }];
  if (news.trouble) found.push({ ...own, name: 'topics of results', state: 'failed', detail: news.trouble, todo: 'Start the broker, or name another with --set kafka.bootstrap=' });
  for (const each of news.components)
    if (each.status !== 'healthy') found.push({ ...own, name: each.name, state: 'silent', detail: 'has said nothing for seconds', todo: 'It may be busy or stopped: see its log' });
  const { cluster } = news;
  if (cluster) {
    const wanted = cluster.most ?? cluster.wanted;
    const whole = cluster.state === 'running' && cluster.nodes >= wanted;
    const todo = whole ? '' : cluster.state === 'running' ? 'The button Restore asks for the others' : 'It starts again by itself; cluster.log tells the last failure';
    found.push({ ...own, name: 'cluster', state: whole ? 'healthy' : cluster.nodes ? 'degraded' : 'failed', detail: `${cluster.state}, ${cluster.nodes} of ${wanted} processes, ${cluster.restarts ?? 0} restart${cluster.restarts === 1 ? '' : 's'}`, todo });
  }
  return [...found, ...news.health.components];
}

function headline(news: News, components: HealthComponent[]): HTMLElement {
  const { overall, mode, level, fallbacks } = news.health;
  const bad = components.filter((each) => each.state !== 'healthy').length;
  const state = overall === 'unknown' && !bad ? 'unknown' : bad ? (overall === 'critical' ? 'critical' : 'degraded') : overall;
  const said = [mode === 'unknown' ? null : `mode ${mode}`, level === 'unknown' ? null : `level ${level}`, bad ? `${bad} of ${components.length} components need${bad === 1 ? 's' : ''} a look` : null];
  return el(
    'div', { class: `headline ${state}`, id: 'overall' },
    el('b', {}, state), el('span', {}, said.filter(Boolean).join(' · ')),
    fallbacks.length ? el('small', {}, `In the place of what is lost: ${fallbacks.join('; ')}`) : null,
  );
}

function problems(news: News, components: HealthComponent[]): HTMLElement[] {
  const found = components.filter((each) => each.state !== 'healthy').map((each) => problem(each.name, each.state, each.detail, each.todo, each.who));
  const warnings = news.health.alerts.filter((alert) => alert.severity === 'warning').map((alert) => problem(alert.component, 'degraded', alert.what, `To ${alert.action}: docs/runbooks`, alert.who));
  return [...found, ...warnings];
}

function problem(name: string, state: string, detail: string, todo: string, who: string): HTMLElement {
  return el(
    'div', { class: `problem ${state}`, 'data-problem': name },
    el('b', {}, name), el('span', { class: `status ${state}` }, state), el('p', {}, [detail, who ? `(${who})` : ''].filter(Boolean).join(' ')),
    todo ? el('p', { class: 'todo' }, `→ ${todo}`) : null,
  );
}

function table(components: HealthComponent[]): HTMLElement {
  const rows = components.map(({ name, state, detail }) =>
    el('tr', { 'data-component': name, title: detail }, el('th', {}, name), el('td', {}, el('span', { class: `status ${state}` }, state)), el('td', { class: 'detail' }, state === 'healthy' ? detail : '')),
  );
  return el('table', { class: 'health' }, ...rows);
}

function processes({ components, cluster }: News): HTMLElement[] {
  const rows = components.map((c) => el('tr', {}, el('th', {}, c.name), el('td', {}, `pid ${c.pid}`), el('td', {}, `${(100 * c.cpu_share).toFixed(0)} % CPU`), el('td', {}, `${c.memory_mb.toFixed(0)} MB`)));
  const back = cluster?.killed?.back_s;
  const note = back ? [el('p', { class: 'note' }, `Process ${cluster.killed!.pid} was killed; the rest went on after ${back.toFixed(2)} s.`)] : [];
  return rows.length ? [el('h3', {}, 'Processes'), el('table', { class: 'health' }, ...rows), ...note] : note;
}

function decisions({ health }: News): HTMLElement[] {
  if (!health.decisions.length) return [];
  const items = [...health.decisions].reverse().map((each) => {
    const what = each.kind === 'model' ? `model ${each.name} is ${each.sha256?.slice(0, 12)}` : `level ${each.level}, ${each.share} % on the fast path`;
    return el('li', {}, el('time', {}, clock(each.from_us)), ` ${what}`, each.reason ? el('p', {}, each.reason) : null);
  });
  return [el('h3', {}, 'Last decisions'), el('ul', { class: 'reasons' }, ...items)];
}

function account({ account, counted, unknown }: News): HTMLElement[] {
  const seen = counted === null ? [] : [el('p', { class: 'note', 'data-counted': `${counted}` }, `${counted.toLocaleString('en')} events in the windows that this page has read.`)];
  if (!account) return [el('h3', {}, 'Account'), el('p', { class: 'note', id: 'no-account' }, unknown.account), ...seen];
  const fates = Object.keys(account).filter((name) => name !== 'events_in');
  const whole = account.events_in === fates.reduce((sum, name) => sum + account[name], 0);
  const rows = ['events_in', ...fates].map((name) => el('tr', {}, el('th', {}, name.replace('_', ' ')), el('td', { 'data-account': name }, account[name].toLocaleString('en'))));
  const said = whole ? 'Every event is accounted for.' : 'Some events are between the source and the sink.';
  return [el('h3', {}, 'Account'), el('table', { class: 'account' }, ...rows), el('p', { class: 'note' }, said), ...seen];
}
