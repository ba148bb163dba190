// Small helpers to make elements.

type Child = Node | string | null | undefined;

export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, string | boolean | ((event: Event) => void)> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') made.addEventListener(name, value as EventListener);
    else if (typeof value === 'boolean') made.toggleAttribute(name, value);
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child): child is Node | string => child !== null && child !== undefined));
  return made;
}

export const byId = (id: string): HTMLElement => document.getElementById(id) as HTMLElement;

export function count(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  if (size >= 1e9) return `${(value / 1e9).toFixed(2)} G`;
  if (size >= 1e7) return `${(value / 1e6).toFixed(1)} M`;
  if (size >= 1e6) return `${(value / 1e6).toFixed(2)} M`;
  if (size >= 1e4) return `${(value / 1e3).toFixed(1)} k`;
  if (size >= 100 || Number.isInteger(value)) return Math.round(value).toLocaleString('en');
  return size < 0.01 ? value.toPrecision(2) : size < 1 ? value.toFixed(2) : value.toPrecision(3);
}

export function clock(time_us: number | null | undefined): string {
  if (!time_us) return '–';
  return new Date(time_us / 1000).toISOString().slice(11, 19);
}

export function day(time_us: number | null | undefined): string {
  return time_us ? new Date(time_us / 1000).toISOString().slice(0, 10) : '';
}
