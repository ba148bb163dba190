// The keyboard, and the list of its keys.

import { byId, el } from './dom';

const KEYS: [string, string][] = [
  ['Space', 'pause, and live again'],
  ['2 / 3', 'flat map, or in three dimensions'],
  ['A', 'agents on or off'],
  ['T', 'trails on or off'],
  ['C', 'cells: off, heat, columns'],
  ['L', 'colour by level, speed, height, score'],
  ['F', 'fit the world into view'],
  ['D', 'dark or light'],
  ['Alt 1 … 9', 'the window of that number'],
  ['Esc', 'close what is open'],
  ['?', 'these keys'],
];

/** Let keys act, by their names in lower case; with Alt a number goes to `numbered`. */
export function listen(actions: Record<string, () => void>, numbered: (number: number) => void): void {
  addEventListener('keydown', (event) => {
    const target = event.target as HTMLElement;
    if (event.ctrlKey || event.metaKey || ['SELECT', 'INPUT'].includes(target.tagName)) return;
    const key = event.key.toLowerCase();
    if (event.altKey && /[1-9]/.test(key)) return numbered(Number(key));
    if (!actions[key]) return;
    if (key === ' ') event.preventDefault();
    actions[key]();
  });
}

export function toggleHelp(): void {
  const dialog = byId('help') as HTMLDialogElement;
  if (dialog.open) return dialog.close();
  dialog.replaceChildren(
    el('h2', {}, 'Keys'),
    el('table', {}, ...KEYS.map(([key, what]) => el('tr', {}, el('th', {}, el('kbd', {}, key)), el('td', {}, what)))),
    el('p', { class: 'note' }, 'Drag to move, scroll to zoom, drag with the right button to turn in 3-D. Click an agent, a cell or an alert.'),
    el('form', { method: 'dialog' }, el('button', {}, 'Close')),
  );
  dialog.showModal();
}
