// Buttons, choices, tabs and colour bars.

import { count, el } from './dom';
import { gradient } from './palette';

export function button(text: string, title: string, click: () => void): HTMLButtonElement {
  return el('button', { title, type: 'button', click }, text);
}

export function icon(text: string, title: string, click: () => void): HTMLButtonElement {
  return el('button', { class: 'icon', title, 'aria-label': title, type: 'button', click }, text);
}

export interface Choice {
  root: HTMLElement;
  show: (value: string) => void;
  next: () => void;
}

export function choice(label: string, options: [string, string][], first: string, onChange: (value: string) => void): Choice {
  let value = first;
  const buttons = options.map(([key, text]) => el('button', { type: 'button', role: 'radio', 'data-value': key, click: () => pick(key) }, text));
  const show = (next: string): void => {
    value = next;
    buttons.forEach((b) => b.setAttribute('aria-checked', String(b.dataset.value === next)));
  };
  const pick = (next: string): void => {
    show(next);
    onChange(next);
  };
  show(first);
  const root = el('div', { class: 'field' }, el('span', {}, label), el('div', { class: 'segments', role: 'radiogroup', 'aria-label': label }, ...buttons));
  const next = (): void => pick(options[(options.findIndex(([key]) => key === value) + 1) % options.length][0]);
  return { root, show, next };
}

/** Let a select have these options, and one of them chosen; `none` is the text of an empty name, or of no names at all. */
export function choose(select: HTMLSelectElement, names: string[], value: string, none = ''): void {
  const wanted = names.length ? names : [''];
  if ([...select.options].map((o) => o.value).join() !== wanted.join() || !select.options.length)
    select.replaceChildren(...wanted.map((name) => el('option', { value: name }, name.replaceAll('_', ' ') || none)));
  select.disabled = wanted.length === 1 && !wanted[0];
  if (document.activeElement !== select) select.value = value;
}

export function tabs(pages: [string, HTMLElement][]): HTMLElement {
  const buttons = pages.map(([name], i) => el('button', { role: 'tab', type: 'button', click: () => show(i) }, name));
  const show = (chosen: number): void =>
    pages.forEach(([, page], i) => {
      page.hidden = i !== chosen;
      buttons[i].setAttribute('aria-selected', String(i === chosen));
    });
  pages.forEach(([, page]) => page.setAttribute('role', 'tabpanel'));
  show(0);
  return el('div', { class: 'tabs' }, el('div', { role: 'tablist' }, ...buttons), ...pages.map(([, page]) => page));
}

export function bar(label: string, colours: Uint8Array, low: number, high: number): HTMLElement {
  const ramp = el('i', {});
  ramp.style.background = gradient(colours);
  return el('div', { class: 'bar' }, el('span', {}, label), ramp, el('small', {}, count(low)), el('small', {}, count(high)));
}
