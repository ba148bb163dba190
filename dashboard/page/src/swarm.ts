// The agents between two frames: where they are now, where they were, and what they look like.

import type { Frame } from './frames';
import { LEVELS, hot, type Theme } from './palette';
import type { Space } from './space';

export const GONE = 255;
const TRAIL_POINTS = 120_000; // segments of all trails together
const LONGEST_TRAIL = 64;
const RADIUS = [1.35, 2.2, 3, 4, 5.2, 6.5, 8.5]; // pixels by level, for many agents
const FAR = 40; // units: what moves further in a frame has come anew

export type ColourBy = 'level' | 'speed' | 'height' | 'score';

export class Swarm {
  length = 0;
  generation = -1;
  time_us = 0;
  scored = false;
  level: Uint8Array = new Uint8Array(0);
  now = new Float32Array(0);
  colours = new Uint8Array(0);
  radii = new Float32Array(0);
  angles = new Float32Array(0);
  alive = 0;
  ranges: Record<string, [number, number]> = {};
  private from = new Float32Array(0);
  private to = new Float32Array(0);
  private values: Record<string, ArrayLike<number>> = {};
  private at = 0;
  private every = 250;
  private past: Float32Array[] = [];
  trail = { length: 0, source: new Float32Array(0), target: new Float32Array(0), colour: new Uint8Array(0) };

  constructor(private readonly space: Space) {}

  take(frame: Frame, look: { theme: Theme; by: ColourBy; hidden: Set<number>; trails: boolean }): void {
    const generation = frame.header.generation as number;
    const length = frame.columns.x.length;
    const fresh = generation !== this.generation;
    const to = this.positions(frame);
    const from = new Float32Array(to);
    if (!fresh) {
      const known = Math.min(this.length, length) * 3;
      from.set(this.now.subarray(0, known));
      for (let i = 0; i < known; i += 3) {
        if (Math.abs(from[i] - to[i]) > FAR || Math.abs(from[i + 1] - to[i + 1]) > FAR || this.level[i / 3] === GONE) {
          from[i] = to[i];
          from[i + 1] = to[i + 1];
          from[i + 2] = to[i + 2];
        }
      }
    } else this.past = [];
    const now = performance.now();
    if (!fresh && this.at) this.every = Math.min(2000, 0.7 * this.every + 0.3 * (now - this.at));
    const moved = frame.header.time_us !== this.time_us;
    Object.assign(this, { generation, length, from, to, at: now, time_us: frame.header.time_us, scored: frame.header.scored });
    this.now = new Float32Array(from);
    this.level = frame.columns.level as Uint8Array;
    const z = frame.columns.z as Uint16Array;
    this.values = { speed: frame.columns.speed as Uint8Array, score: frame.columns.score as Uint8Array, height: Uint8Array.from(z, (v) => v >> 8) };
    this.ranges.height = [frame.described.z.offset!, frame.described.z.offset! + 65535 * frame.described.z.scale!];
    for (const name of ['speed', 'score']) {
      const { offset = 0, scale = 1 } = frame.described[name];
      this.ranges[name] = [offset, offset + 255 * scale];
    }
    const heading = frame.columns.heading as Uint8Array;
    this.angles = new Float32Array(length);
    for (let i = 0; i < length; i++) this.angles[i] = (-heading[i] * 360) / 255;
    this.dress(look);
    if (moved) this.remember(to, look);
  }

  /** Give every agent its colour and size; those of a hidden level none. */
  dress(look: { theme: Theme; by: ColourBy; hidden: Set<number> }): void {
    const { length } = this;
    const few = length < 5000 ? 1.6 : length > 120_000 ? 0.8 : 1;
    this.colours = new Uint8Array(length * 4);
    this.radii = new Float32Array(length);
    const levels = LEVELS[look.theme];
    const table = hot(look.theme);
    const values = look.by === 'level' ? null : this.values[look.by];
    this.alive = 0;
    for (let i = 0; i < length; i++) {
      const level = this.level[i];
      if (level === GONE) continue;
      this.alive++;
      if (look.hidden.has(level)) continue;
      if (values) for (let c = 0; c < 3; c++) this.colours[i * 4 + c] = table[values[i] * 3 + c];
      else for (let c = 0; c < 3; c++) this.colours[i * 4 + c] = levels[level][c];
      this.colours[i * 4 + 3] = level === 0 ? (length > 20_000 ? 150 : 225) : 240;
      this.radii[i] = RADIUS[level] * few;
    }
  }

  /** Move to where the agents are at a time; returns whether anything moves. */
  move(now: number): boolean {
    const share = Math.min(1, (now - this.at) / this.every);
    const { from, to } = this;
    const out = new Float32Array(to.length);
    for (let i = 0; i < to.length; i++) out[i] = from[i] + (to[i] - from[i]) * share;
    this.now = out;
    return share < 1;
  }

  private positions(frame: Frame): Float32Array {
    const { x, y, z } = frame.columns;
    const [dx, dy, dz] = ['x', 'y', 'z'].map((axis) => frame.described[axis]);
    const out = new Float32Array(x.length * 3);
    const { space } = this;
    const [ax, bx] = [space.x(dx.offset!), dx.scale! * space.scale];
    const [ay, by] = [space.y(dy.offset!), dy.scale! * space.scale];
    const [az, bz] = [space.z(dz.offset!), dz.scale! * space.zScale];
    for (let i = 0, o = 0; i < x.length; i++) {
      out[o++] = ax + bx * Number(x[i]);
      out[o++] = ay + by * Number(y[i]);
      out[o++] = az + bz * Number(z[i]);
    }
    return out;
  }

  private remember(to: Float32Array, look: { trails: boolean }): void {
    const longest = Math.max(2, Math.min(LONGEST_TRAIL, Math.floor(TRAIL_POINTS / Math.max(1, this.length))));
    this.past.unshift(to);
    this.past.length = Math.min(this.past.length, longest + 1);
    if (look.trails) this.draw();
    else this.trail = { ...this.trail, length: 0 };
  }

  /** Make the segments of the trails, fading with age. */
  draw(): void {
    const ages = this.past.length - 1;
    const { length } = this;
    const source = new Float32Array(ages * length * 3);
    const target = new Float32Array(ages * length * 3);
    const colour = new Uint8Array(ages * length * 4);
    let n = 0;
    for (let age = 0; age < ages; age++) {
      const [a, b] = [this.past[age], this.past[age + 1]];
      const alpha = Math.round((length > 20_000 ? 70 : 130) * (1 - age / ages) ** 1.5);
      for (let i = 0; i < length && i * 3 < b.length; i++) {
        const p = i * 3;
        if (this.colours[i * 4 + 3] === 0) continue;
        if (Math.abs(a[p] - b[p]) + Math.abs(a[p + 1] - b[p + 1]) > FAR || (a[p] === b[p] && a[p + 1] === b[p + 1])) continue;
        for (let c = 0; c < 3; c++) {
          source[n * 3 + c] = a[p + c];
          target[n * 3 + c] = b[p + c];
          colour[n * 4 + c] = this.colours[i * 4 + c];
        }
        colour[n * 4 + 3] = alpha;
        n++;
      }
    }
    this.trail = { length: n, source, target, colour };
  }
}
