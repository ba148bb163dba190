// The world that is shown, asked for until the server answers; and the place in it under the pointer.

import { byId, el } from './dom';
import { inverse } from './earth';
import type { Scene } from './scene';
import type { World } from './types';

const FIRST_MS = 250;
const MOST_MS = 4000;

export async function getWorld(): Promise<World> {
  for (let wait = FIRST_MS; ; wait = Math.min(wait * 2, MOST_MS)) {
    try {
      const answer = await fetch('/api/v1/world');
      if (answer.ok) return await answer.json();
      if (answer.status === 401) say('A token is needed', 'Open the address that the server printed, with ?token=…');
    } catch {
      say('The server does not answer', 'It is tried again until it does.');
    }
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

function say(title: string, text: string): void {
  byId('empty').hidden = false;
  byId('empty').replaceChildren(el('b', {}, title), el('p', {}, text));
}

/** Show the place under the pointer: in degrees on the Earth, else in metres. */
export function followPointer(scene: Scene): void {
  byId('map').addEventListener('pointermove', (event) => {
    const rect = byId('map').getBoundingClientRect();
    const metres = scene.metresAt(event.clientX - rect.left, event.clientY - rect.top);
    if (!metres) return void byId('scale').replaceChildren();
    const { origin } = scene.space.world;
    byId('scale').textContent = origin
      ? inverse(origin, metres).map((v, i) => `${Math.abs(v).toFixed(2)}° ${'NESW'[i + (v < 0 ? 2 : 0)]}`).join('  ')
      : metres.map((v) => `${v.toFixed(0)} m`).join('  ');
  });
}
