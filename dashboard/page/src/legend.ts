// What the colours on the map mean.

import { clock, count, el } from './dom';
import { hot, ramp } from './palette';
import type { Scene } from './scene';
import { bar } from './widgets';

export function legend({ look, cells, swarm, density, field }: Scene): HTMLElement[] {
  const parts: HTMLElement[] = [];
  if (density) parts.push(bar(`agents in a square of ${count(density.cell_m)} m`, ramp(look.theme), 0, density.most));
  else if (look.agents && look.by !== 'level' && swarm.ranges[look.by]) {
    if (look.by === 'score' && !swarm.scored) parts.push(el('p', { class: 'note' }, 'No model scores these events.'));
    else parts.push(bar({ speed: 'speed, m/s', height: 'height, m', score: 'score' }[look.by], hot(look.theme), ...swarm.ranges[look.by]));
  }
  if (look.cells !== 'off' && cells)
    parts.push(bar(`${cells.column.replaceAll('_', ' ')} · ${cells.window.replaceAll('_', ' ')} from ${clock(cells.start_us)}`, ramp(look.theme), cells.low, cells.high));
  if (look.layer && field) parts.push(bar(`${field.layer.replaceAll('_', ' ')} of the field at ${clock(field.time_us)}`, ramp(look.theme), field.low, field.high));
  return parts;
}
