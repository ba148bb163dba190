// World metres -> scene units: the longer side of the world is 1000 units, centred; heights may be exaggerated.

import type { World } from './types';

const SIDE = 1000;
const LEAST_HEIGHT = 90; // units: a flat world would show nothing of its heights

export class Space {
  readonly scale: number;
  readonly zScale: number;
  readonly size: [number, number, number];

  constructor(readonly world: World) {
    const [w, h, d] = [0, 1, 2].map((i) => world.max_m[i] - world.min_m[i]);
    this.scale = SIDE / Math.max(w, h);
    this.zScale = Math.max(this.scale, LEAST_HEIGHT / d);
    this.size = [w * this.scale, h * this.scale, d * this.zScale];
  }

  x = (x_m: number): number => (x_m - this.world.min_m[0]) * this.scale - this.size[0] / 2;
  y = (y_m: number): number => (y_m - this.world.min_m[1]) * this.scale - this.size[1] / 2;
  z = (z_m: number): number => (z_m - this.world.min_m[2]) * this.zScale;

  toMetres([x, y]: number[]): [number, number] {
    const { min_m } = this.world;
    return [(x + this.size[0] / 2) / this.scale + min_m[0], (y + this.size[1] / 2) / this.scale + min_m[1]];
  }

  cellCentre(cx: number, cy: number): [number, number] {
    const { min_m, cell_m } = this.world;
    return [this.x(min_m[0] + (cx + 0.5) * cell_m[0]), this.y(min_m[1] + (cy + 0.5) * cell_m[1])];
  }
}
