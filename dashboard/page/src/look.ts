// How the map looks: what its reader chose.

import type { Theme } from './palette';
import type { ColourBy } from './swarm';

export interface Look {
  theme: Theme;
  three: boolean;
  agents: boolean;
  trails: boolean;
  cells: 'off' | 'heat' | 'columns';
  by: ColourBy;
  layer: string;
  hidden: Set<number>;
}

export function firstLook(): Look {
  const theme = (localStorage.getItem('theme') ?? (matchMedia('(prefers-color-scheme: light)').matches ? 'light' : 'dark')) as Theme;
  return { theme, three: false, agents: true, trails: true, cells: 'off', by: 'level', layer: '', hidden: new Set() };
}
