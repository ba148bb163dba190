// Cells of a window, as squares on the ground or as columns.

import type { Frame } from './frames';
import type { Look } from './look';
import { ramp } from './palette';
import type { Space } from './space';

const COLUMN_UNITS = 160;

export interface CellsShown {
  window: string;
  column: string;
  start_us: number;
  end_us: number;
  length: number;
  low: number;
  high: number;
  cx: Uint16Array;
  cy: Uint16Array;
  cz: Uint16Array;
  value: Float32Array;
}

export interface Columns {
  data: unknown;
  radius: number;
}

export function cellsOf(frame: Frame): CellsShown {
  const value = frame.columns.value as Float32Array;
  const sorted = Float32Array.from(value).sort();
  const high = sorted.length ? sorted[Math.floor((sorted.length - 1) * 0.98)] : 1;
  const low = sorted.length ? Math.min(sorted[0], high) : 0;
  const { window, column, start_us, end_us } = frame.header as unknown as CellsShown;
  const { cx, cy, cz } = frame.columns as unknown as CellsShown;
  return { window, column, start_us, end_us, length: value.length, low: low > 0 && low < high / 2 ? 0 : low, high, cx, cy, cz, value };
}

export function columnsOf(cells: CellsShown, space: Space, look: Look): Columns {
  const positions = new Float32Array(cells.length * 3);
  const colours = new Uint8Array(cells.length * 4);
  const heights = new Float32Array(cells.length);
  const table = ramp(look.theme);
  const tall = look.cells === 'columns';
  const layers = cells.cz.reduce((most, cz) => Math.max(most, cz), 0) + 1;
  for (let i = 0; i < cells.length; i++) {
    const [x, y] = space.cellCentre(cells.cx[i], cells.cy[i]);
    const share = Math.max(0, Math.min(1, (cells.value[i] - cells.low) / (cells.high - cells.low || 1)));
    positions.set([x, y, tall && layers > 1 && look.three ? cells.cz[i] * space.world.cell_m[2] * space.zScale : 0], i * 3);
    const at = Math.round(255 * share) * 3;
    colours.set([table[at], table[at + 1], table[at + 2], tall ? 190 : 40 + 140 * share], i * 4);
    heights[i] = tall ? Math.max(0.5, (COLUMN_UNITS / (layers > 1 ? 2 * layers : 1)) * share) : 0;
  }
  const radius = (Math.min(space.world.cell_m[0], space.world.cell_m[1]) * space.scale * Math.SQRT2) / 2;
  const attributes = {
    getPosition: { value: positions, size: 3 },
    getFillColor: { value: colours, size: 4, normalized: true },
    getElevation: { value: heights, size: 1 },
  };
  return { radius, data: { length: cells.length, attributes } };
}
