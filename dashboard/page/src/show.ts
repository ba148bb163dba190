// What is shown on the map, and how: the choices at the left.

import { el } from './dom';
import type { Look } from './look';
import type { ColourBy } from './swarm';
import type { News } from './types';
import { choice, choose, type Choice } from './widgets';

const COLOURS: ColourBy[] = ['level', 'speed', 'height', 'score'];

export interface Shown {
  look: () => void; // the look has changed
  three: (three: boolean) => void;
}

export class Show {
  window = '';
  column = '';
  readonly agents: Choice;
  readonly trails: Choice;
  readonly cells: Choice;
  private readonly dims: Choice;
  private readonly by: HTMLSelectElement;
  private readonly windows: HTMLSelectElement;
  private readonly columns: HTMLSelectElement;
  private readonly layers: HTMLSelectElement;

  constructor(
    root: HTMLElement,
    private readonly look: Look,
    private readonly shown: Shown,
  ) {
    const set = (change: () => void): void => {
      change();
      shown.look();
    };
    const select = (id: string, label: string, change: (value: string) => void): HTMLSelectElement => {
      const made: HTMLSelectElement = el('select', { id, 'aria-label': label, change: () => set(() => change(made.value)) });
      return made;
    };
    this.dims = choice('Map', [['2d', '2-D'], ['3d', '3-D']], '2d', (value) => shown.three(value === '3d'));
    this.agents = choice('Agents', [['on', 'on'], ['off', 'off']], 'on', (value) => set(() => (look.agents = value === 'on')));
    this.trails = choice('Trails', [['on', 'on'], ['off', 'off']], 'on', (value) => set(() => (look.trails = value === 'on')));
    this.cells = choice('Cells', [['off', 'off'], ['heat', 'heat'], ['columns', 'columns']], 'off', (value) => {
      look.cells = value as Look['cells'];
      if (value === 'columns' && !look.three) shown.three(true);
      shown.look();
    });
    this.by = select('by', 'Colour of the agents', (value) => (look.by = value as ColourBy));
    this.windows = select('window', 'Window', (value) => (this.window = value));
    this.columns = select('column', 'Metric', (value) => (this.column = value));
    this.layers = select('layer', 'Field', (value) => (look.layer = value));
    choose(this.by, COLOURS, look.by);
    const field = (label: string, of: HTMLElement): HTMLElement => el('label', { class: 'field' }, el('span', {}, label), of);
    root.append(
      el('h2', {}, 'Show'), this.dims.root, this.agents.root, this.trails.root, field('Colour', this.by), this.cells.root,
      field('Window', this.windows), field('Metric', this.columns), field('Field', this.layers),
    );
  }

  update({ windows, columns, layers }: News): void {
    const names = Object.keys(windows);
    choose(this.windows, names, (this.window ||= names[0] ?? ''), 'none yet');
    choose(this.columns, columns, (this.column ||= columns[0] ?? ''), 'none yet');
    choose(this.layers, layers.length ? ['', ...layers] : [], this.look.layer, layers.length ? 'off' : 'none in this flow');
  }

  three(three: boolean): void {
    this.dims.show(three ? '3d' : '2d');
  }

  nextColour(): void {
    this.look.by = this.by.value = COLOURS[(COLOURS.indexOf(this.look.by) + 1) % COLOURS.length] as ColourBy;
    this.shown.look();
  }
}
