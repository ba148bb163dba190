// Pictures that lie on the ground: how many agents are where, and a layer of the field.

import type { Frame } from './frames';
import { ramp, type Theme } from './palette';
import type { Space } from './space';

export type Bounds = [number, number, number, number];

export interface Density {
  cell_m: number;
  most: number;
  image: ImageData;
  bounds: Bounds;
}

export interface FieldShown {
  layer: string;
  time_us: number;
  low: number;
  high: number;
  image: ImageData;
  bounds: Bounds;
}

export function densityOf(frame: Frame, space: Space, theme: Theme): Density {
  const counts = frame.columns.count;
  const [nx, ny] = frame.header.shape as [number, number];
  let most = 1;
  for (let i = 0; i < counts.length; i++) most = Math.max(most, Number(counts[i]));
  const shares = Float32Array.from(counts as Uint32Array, (n) => (n ? Math.sqrt(n / most) : NaN));
  const image = painted(shares, nx, ny, theme, (share) => 90 + 165 * share);
  const [w, h] = [space.size[0] / 2, space.size[1] / 2];
  return { cell_m: frame.header.cell_m as number, most, image, bounds: [-w, -h, w, h] };
}

export function fieldOf(frame: Frame, space: Space, theme: Theme): FieldShown {
  const value = frame.columns.value as Float32Array;
  const [nx, ny] = frame.header.shape as [number, number];
  const [dx, dy] = frame.header.cell_m as [number, number];
  const sorted = Float32Array.from(value.filter(Number.isFinite)).sort();
  const [low, high] = sorted.length ? [sorted[Math.floor(sorted.length * 0.02)], sorted[Math.floor((sorted.length - 1) * 0.99)]] : [0, 1];
  const shares = value.map((v) => Math.max(0, Math.min(1, (v - low) / (high - low || 1))));
  const image = painted(shares, nx, ny, theme, (share) => 15 + 205 * Math.sqrt(share));
  const [x0, y0] = [-space.size[0] / 2, -space.size[1] / 2];
  const bounds: Bounds = [x0, y0, x0 + nx * dx * space.scale, y0 + ny * dy * space.scale];
  return { layer: frame.header.layer as string, time_us: frame.header.time_us as number, low, high, image, bounds };
}

/** Shares of the scale, the southernmost row first, as an image, the northernmost first; what is not finite stays clear. */
function painted(shares: Float32Array, nx: number, ny: number, theme: Theme, opacity: (share: number) => number): ImageData {
  const image = new ImageData(nx, ny);
  const table = ramp(theme);
  for (let i = 0; i < shares.length; i++) {
    if (!Number.isFinite(shares[i])) continue;
    const at = Math.round(255 * shares[i]) * 3;
    const o = ((ny - 1 - Math.floor(i / nx)) * nx + (i % nx)) * 4;
    image.data.set([table[at], table[at + 1], table[at + 2], opacity(shares[i])], o);
  }
  return image;
}
