// The map: what there is to draw, and when it is drawn.

import { Deck, OrbitView, type PickingInfo } from '@deck.gl/core';
import { Camera } from './camera';
import { cellsOf, columnsOf, type CellsShown, type Columns } from './columns';
import { arrow, graticule } from './drawings';
import { borders, type Line } from './earth';
import type { Frame } from './frames';
import { ALERT_MS, layersOf, type Drawn, type Raised } from './layers';
import type { Look } from './look';
import { densityOf, fieldOf, type Density, type FieldShown } from './pictures';
import { Space } from './space';
import { Swarm } from './swarm';
import type { Alert, World } from './types';

const RINGS = 400; // alerts that pulse at a time
const FEW = 8; // agents, before which nobody can tell where they are

export interface Picked {
  position?: number[]; // of an agent
  cell?: number;
  alert?: Alert;
}

export class Scene implements Drawn {
  readonly space: Space;
  readonly swarm: Swarm;
  readonly grid: Line[];
  readonly arrow = arrow();
  lines: Line[] = [];
  cells?: CellsShown;
  columns?: Columns;
  field?: FieldShown;
  density?: Density;
  alerts: Raised[] = [];
  selectedPath: [number, number, number][] = [];
  selected?: [number, number, number];
  fps = 0;
  private readonly camera: Camera;
  private readonly deck: Deck<OrbitView>;
  private dirty = true;
  private frames = 0;
  private counted = performance.now();

  constructor(
    canvas: HTMLCanvasElement,
    world: World,
    readonly look: Look,
    onPick: (what: Picked) => void,
  ) {
    this.space = new Space(world);
    this.swarm = new Swarm(this.space);
    this.grid = graticule(this.space);
    this.camera = new Camera(this.space, look);
    this.deck = new Deck<OrbitView>({
      canvas,
      views: this.view(),
      viewState: this.camera.state as never,
      controller: true,
      layers: [],
      useDevicePixels: true,
      pickingRadius: 6,
      onViewStateChange: ({ viewState }) => this.from(() => this.camera.move(viewState as Record<string, unknown>)),
      onClick: (info: PickingInfo) => onPick(this.picked(info)),
      getCursor: ({ isDragging, isHovering }) => (isDragging ? 'grabbing' : isHovering ? 'pointer' : 'grab'),
    });
    void borders(this.space).then((lines) => {
      this.lines = lines;
      this.dirty = true;
    });
    requestAnimationFrame(this.tick);
  }

  take(frame: Frame): void {
    const { space, look } = this;
    if (frame.kind === 'agents') {
      this.density = undefined;
      this.swarm.take(frame, look);
      if (!this.camera.moved && this.swarm.alive >= FEW) this.from(() => this.camera.frame(this.swarm));
    } else if (frame.kind === 'density') this.density = densityOf(frame, space, look.theme);
    else if (frame.kind === 'field') this.field = fieldOf(frame, space, look.theme);
    else if (frame.kind === 'cells') {
      this.cells = cellsOf(frame);
      this.columns = columnsOf(this.cells, space, look);
    }
    this.dirty = true;
  }

  note(alert: Alert): void {
    const position = this.place(alert);
    if (position) this.alerts.push({ at: performance.now(), position, alert });
    if (this.alerts.length > RINGS) this.alerts.splice(0, this.alerts.length - RINGS);
  }

  place(alert: Alert): [number, number, number] | null {
    if (alert.x_m !== null && alert.y_m !== null) return [this.space.x(alert.x_m), this.space.y(alert.y_m), this.space.z(alert.z_m ?? 0)];
    if (alert.cx !== null && alert.cy !== null) return [...this.space.cellCentre(alert.cx, alert.cy), 0];
    return null;
  }

  /** The place of a pixel, in metres; of the flat map alone. */
  metresAt(x: number, y: number): [number, number] | null {
    const viewport = this.deck.isInitialized ? this.deck.getViewports()[0] : undefined;
    return viewport && !this.look.three ? this.space.toMetres(viewport.unproject([x, y])) : null;
  }

  changed(dressed = true): void {
    if (dressed) this.swarm.dress(this.look);
    if (this.look.trails) this.swarm.draw();
    if (this.cells) this.columns = columnsOf(this.cells, this.space, this.look);
    this.deck.setProps({ views: this.view() });
    this.dirty = true;
  }

  fit(): void {
    this.from(() => this.camera.fit());
  }

  goTo(position: [number, number, number]): void {
    this.from(() => this.camera.goTo(position));
  }

  turn(): void {
    this.from(() => this.camera.turn());
    this.changed(false);
  }

  private from(move: () => void): void {
    move();
    this.deck.setProps({ viewState: this.camera.state as never });
  }

  private view(): OrbitView {
    return new OrbitView({ id: 'orbit', orbitAxis: 'Z', orthographic: !this.look.three, fovy: 35, near: 0.1, far: 100 });
  }

  private picked(info: PickingInfo): Picked {
    if (info.index < 0 || !info.layer) return {};
    if (info.layer.id.startsWith('agents')) return { position: [...this.swarm.now.subarray(info.index * 3, info.index * 3 + 3)] };
    if (info.layer.id === 'alerts') return { alert: this.alerts[info.index]?.alert };
    return info.layer.id === 'cells' ? { cell: info.index } : {};
  }

  private readonly tick = (now: number): void => {
    requestAnimationFrame(this.tick);
    const moving = this.swarm.length > 0 && this.swarm.move(now);
    while (this.alerts.length && now - this.alerts[0].at > ALERT_MS) this.alerts.shift();
    if (!moving && !this.dirty && !this.alerts.length) return;
    this.dirty = false;
    this.deck.setProps({ layers: layersOf(this, now) });
    this.frames++;
    if (now - this.counted > 1000) {
      this.fps = (this.frames * 1000) / (now - this.counted);
      this.frames = 0;
      this.counted = now;
    }
  };
}
