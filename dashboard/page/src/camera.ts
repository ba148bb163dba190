// Where the map is looked at from.

import type { Look } from './look';
import type { Space } from './space';
import { GONE, type Swarm } from './swarm';

const FLAT = { rotationX: 90, rotationOrbit: 0 };
const TILTED = { rotationX: 38, rotationOrbit: -24 };
const LOWEST = 8; // degrees above the ground
const CLOSE = 1.4; // zoom at which an agent is looked at
const WHOLE = 0.75; // of the world: agents over so much of it are looked at from where all of it is seen

type State = Record<string, unknown>;

export class Camera {
  state: State;
  moved = false; // whoever moves the map decides where to look

  constructor(
    private readonly space: Space,
    private readonly look: Look,
  ) {
    this.state = this.home();
  }

  home(): State {
    const { three } = this.look;
    const map = document.getElementById('map')!;
    const [w, h] = [map.clientWidth || 800, map.clientHeight || 600];
    const zoom = Math.log2(Math.min(w / this.space.size[0], h / this.space.size[1]) * (three ? 0.86 : 0.94));
    return { target: [0, 0, three ? 30 : 0], zoom, minZoom: zoom - 2, maxZoom: 9, ...(three ? TILTED : FLAT) };
  }

  move(state: State): void {
    this.moved = true;
    this.state = this.look.three ? { ...state, rotationX: Math.max(LOWEST, state.rotationX as number) } : { ...state, ...FLAT };
  }

  fit(): void {
    this.state = { ...this.home(), transitionDuration: 0 };
  }

  goTo(position: [number, number, number]): void {
    this.state = { ...this.state, target: position, zoom: Math.max(this.state.zoom as number, CLOSE) };
  }

  turn(): void {
    this.state = { ...this.state, ...(this.look.three ? TILTED : FLAT) };
  }

  /** Look at where the agents are, if that is a part of the world only. */
  frame(swarm: Swarm): void {
    this.moved = true;
    const [x, y] = [0, 1].map((axis) => {
      const along = swarm.now.filter((_, i) => i % 3 === axis && swarm.level[Math.floor(i / 3)] !== GONE);
      return [along.reduce((a, b) => Math.min(a, b), Infinity), along.reduce((a, b) => Math.max(a, b), -Infinity)];
    });
    const share = Math.max((x[1] - x[0]) / this.space.size[0], (y[1] - y[0]) / this.space.size[1]);
    if (share > WHOLE) return;
    const target = [(x[0] + x[1]) / 2, (y[0] + y[1]) / 2, 0];
    this.state = { ...this.state, target, zoom: (this.state.zoom as number) + Math.log2(0.8 / Math.max(share, 0.1)) };
  }
}
