// What lies over the map: that nothing comes, and why; what became of a worker that was killed.

import { byId, el } from './dom';
import type { Status } from './link';
import type { Cluster, News } from './types';

export function showEmpty(nothing: boolean, status: Status, news?: News): void {
  const box = byId('empty');
  const text = news?.trouble ? ['Nothing comes', news.trouble] : status === 'lost' ? ['The server does not answer', 'It is tried again until it does; the picture is the last one that came.']
    : nothing ? [news && Object.keys(news.windows).length ? 'No agents' : 'Waiting for the first events', news?.unknown.agents ?? ''] : null;
  box.hidden = !text;
  if (text) box.replaceChildren(el('b', {}, text[0]), el('p', {}, text[1]));
  box.classList.toggle('over', status === 'lost' || Boolean(news?.trouble && !nothing));
}

export class Toast {
  private box?: HTMLElement;
  private key = '';

  /** Show a text; nothing happens when it is shown, or was closed, under the same key. */
  show(text: string, kind: 'good' | 'bad', key: string): void {
    if (key === this.key) return;
    this.key = key;
    this.box?.remove();
    const box = el('div', { class: `toast ${kind}`, role: 'status', id: 'toast' }, text);
    this.box = box;
    byId('map').append(box);
    if (kind === 'good') setTimeout(() => box.remove(), 60_000);
  }

  killed({ killed, nodes }: Cluster): void {
    if (!killed) return;
    const { pid, back_s } = killed;
    if (back_s === null) this.show(`Process ${pid} killed; the cluster starts again…`, 'bad', `${pid}`);
    else this.show(`Process ${pid} was killed. ${nodes} went on from the last snapshot after ${back_s.toFixed(2)} s; nothing is lost.`, 'good', `${pid} back`);
  }
}
