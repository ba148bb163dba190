// The map: deck.gl layers over binary attributes, in two or three dimensions.

import { Deck, OrbitView, type Layer, type PickingInfo } from '@deck.gl/core';
import { BitmapLayer, ColumnLayer, IconLayer, LineLayer, PathLayer, ScatterplotLayer } from '@deck.gl/layers';
import { borders, type Line } from './earth';
import type { Frame } from './frames';
import { ramp, type Theme } from './palette';
import { Space } from './space';
import { GONE, Swarm, type ColourBy } from './swarm';
import type { Alert, World } from './types';

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

const INK: Record<Theme, { line: number[]; faint: number[]; alert: number[] }> = {
  dark: { line: [120, 140, 170, 150], faint: [90, 105, 130, 60], alert: [255, 92, 92] },
  light: { line: [70, 84, 104, 170], faint: [120, 132, 150, 70], alert: [200, 30, 30] },
};
const ARROWS = 5000; // up to so many agents are drawn as arrows
const ALERT_MS = 12_000;
const COLUMN_UNITS = 160;

export class Scene {
  readonly space: Space;
  readonly swarm: Swarm;
  cells?: CellsShown;
  field?: { layer: string; time_us: number; low: number; high: number; image: ImageData; bounds: [number, number, number, number] };
  density?: { header: Record<string, unknown>; image: ImageData; most: number };
  selectedPath: [number, number, number][] = [];
  selected?: [number, number, number];
  fps = 0;
  private readonly deck: Deck<OrbitView>;
  private lines: Line[] = [];
  private grid: { path: [number, number][] }[] = [];
  private alerts: { at: number; position: [number, number, number]; alert: Alert }[] = [];
  private columns?: { data: unknown; radius: number };
  private framed = false;
  private dirty = true;
  private frames = 0;
  private counted = performance.now();
  private arrow: ImageData;
  private viewState: Record<string, unknown>;

  constructor(
    canvas: HTMLCanvasElement,
    world: World,
    private readonly look: Look,
    onPick: (what: { slot?: number; cell?: number; alert?: Alert; position?: number[] }) => void,
  ) {
    this.space = new Space(world);
    this.swarm = new Swarm(this.space);
    this.grid = graticule(this.space);
    this.arrow = arrow();
    this.viewState = this.home();
    this.deck = new Deck<OrbitView>({
      canvas,
      views: this.view(),
      viewState: this.viewState as never,
      controller: true,
      layers: [],
      useDevicePixels: true,
      pickingRadius: 6,
      onViewStateChange: ({ viewState }) => {
        this.framed = true; // whoever moves the map decides where to look
        this.viewState = this.held(viewState as Record<string, unknown>);
        this.deck.setProps({ viewState: this.viewState as never });
      },
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
    if (frame.kind === 'agents') {
      this.density = undefined;
      this.swarm.take(frame, this.look);
      if (!this.framed && this.swarm.alive >= 8) this.frameSwarm();
    } else if (frame.kind === 'density') this.takeDensity(frame);
    else if (frame.kind === 'cells') this.takeCells(frame);
    else if (frame.kind === 'field') this.takeField(frame);
    this.dirty = true;
  }

  note(alert: Alert): void {
    const position = this.place(alert);
    if (position) this.alerts.push({ at: performance.now(), position, alert });
    if (this.alerts.length > 400) this.alerts.splice(0, this.alerts.length - 400);
  }

  place(alert: Alert): [number, number, number] | null {
    if (alert.x_m !== null && alert.y_m !== null) return [this.space.x(alert.x_m), this.space.y(alert.y_m), this.space.z(alert.z_m ?? 0)];
    if (alert.cx !== null && alert.cy !== null) return [...this.space.cellCentre(alert.cx, alert.cy), 0];
    return null;
  }

  changed(dressed = true): void {
    if (dressed) this.swarm.dress(this.look);
    if (this.look.trails) this.swarm.draw();
    this.shape();
    this.deck.setProps({ views: this.view() });
    this.dirty = true;
  }

  /** Look at where the agents are, if that is a part of the world only. */
  private frameSwarm(): void {
    this.framed = true;
    const [x, y] = [0, 1].map((axis) => {
      const along = this.swarm.now.filter((_, i) => i % 3 === axis && this.swarm.level[Math.floor(i / 3)] !== GONE);
      return [along.reduce((a, b) => Math.min(a, b), Infinity), along.reduce((a, b) => Math.max(a, b), -Infinity)];
    });
    const share = Math.max((x[1] - x[0]) / this.space.size[0], (y[1] - y[0]) / this.space.size[1]);
    if (share > 0.75) return;
    const target = [(x[0] + x[1]) / 2, (y[0] + y[1]) / 2, 0];
    this.viewState = { ...this.viewState, target, zoom: (this.viewState.zoom as number) + Math.log2(0.8 / Math.max(share, 0.1)) };
    this.deck.setProps({ viewState: this.viewState as never });
  }

  fit(): void {
    this.viewState = { ...this.home(), transitionDuration: 0 };
    this.deck.setProps({ viewState: this.viewState as never });
  }

  goTo(position: [number, number, number]): void {
    this.viewState = { ...this.viewState, target: position, zoom: Math.max(this.viewState.zoom as number, 1.4) };
    this.deck.setProps({ viewState: this.viewState as never });
  }

  turn(): void {
    this.viewState = this.held({ ...this.viewState, rotationX: this.look.three ? 38 : 90, rotationOrbit: this.look.three ? -24 : 0 });
    this.deck.setProps({ viewState: this.viewState as never });
    this.changed(false);
  }

  private view(): OrbitView {
    return new OrbitView({
      id: 'orbit',
      orbitAxis: 'Z',
      orthographic: !this.look.three,
      fovy: 35,
      near: 0.1,
      far: 100,
    });
  }

  private home(): Record<string, unknown> {
    const canvas = document.getElementById('map')!;
    const [w, h] = [canvas.clientWidth || 800, canvas.clientHeight || 600];
    const zoom = Math.log2(Math.min(w / this.space.size[0], h / this.space.size[1]) * (this.look.three ? 0.86 : 0.94));
    const lift = this.look.three ? 30 : 0;
    return {
      target: [0, 0, lift], zoom, minZoom: zoom - 2, maxZoom: 9,
      rotationX: this.look.three ? 38 : 90, rotationOrbit: this.look.three ? -24 : 0,
    };
  }

  private held(state: Record<string, unknown>): Record<string, unknown> {
    return this.look.three ? { ...state, rotationX: Math.max(8, state.rotationX as number) } : { ...state, rotationX: 90, rotationOrbit: 0 };
  }

  private picked(info: PickingInfo): { slot?: number; cell?: number; alert?: Alert; position?: number[] } {
    if (info.index < 0 || !info.layer) return {};
    if (info.layer.id.startsWith('agents')) {
      const p = info.index * 3;
      return { slot: info.index, position: [...this.swarm.now.subarray(p, p + 3)] };
    }
    if (info.layer.id === 'alerts') return { alert: this.alerts[info.index]?.alert };
    if (info.layer.id === 'cells') return { cell: info.index };
    return {};
  }

  private takeDensity(frame: Frame): void {
    const counts = frame.columns.count;
    const [nx, ny] = frame.header.shape as [number, number];
    const table = ramp(this.look.theme);
    let most = 1;
    for (let i = 0; i < counts.length; i++) most = Math.max(most, Number(counts[i]));
    const image = new ImageData(nx, ny);
    for (let i = 0; i < counts.length; i++) {
      const n = Number(counts[i]);
      if (!n) continue;
      const share = Math.round(255 * Math.sqrt(n / most));
      const o = ((ny - 1 - Math.floor(i / nx)) * nx + (i % nx)) * 4;
      for (let c = 0; c < 3; c++) image.data[o + c] = table[share * 3 + c];
      image.data[o + 3] = 90 + Math.round(165 * (share / 255));
    }
    this.density = { header: frame.header, image, most };
  }

  private takeField(frame: Frame): void {
    const value = frame.columns.value as Float32Array;
    const [nx, ny] = frame.header.shape as [number, number];
    const [dx, dy] = frame.header.cell_m as [number, number];
    const sorted = Float32Array.from(value.filter(Number.isFinite)).sort();
    const [low, high] = sorted.length ? [sorted[Math.floor(sorted.length * 0.02)], sorted[Math.floor((sorted.length - 1) * 0.99)]] : [0, 1];
    const table = ramp(this.look.theme);
    const image = new ImageData(nx, ny);
    for (let i = 0; i < value.length; i++) {
      if (!Number.isFinite(value[i])) continue;
      const share = Math.max(0, Math.min(1, (value[i] - low) / (high - low || 1)));
      const at = Math.round(255 * share) * 3;
      const o = ((ny - 1 - Math.floor(i / nx)) * nx + (i % nx)) * 4;
      image.data.set([table[at], table[at + 1], table[at + 2], 15 + 205 * Math.sqrt(share)], o);
    }
    const { space } = this;
    const [x0, y0] = [-space.size[0] / 2, -space.size[1] / 2];
    const bounds: [number, number, number, number] = [x0, y0, x0 + nx * dx * space.scale, y0 + ny * dy * space.scale];
    this.field = { layer: frame.header.layer as string, time_us: frame.header.time_us as number, low, high, image, bounds };
  }

  private takeCells(frame: Frame): void {
    const value = frame.columns.value as Float32Array;
    const sorted = Float32Array.from(value).sort();
    const high = sorted.length ? sorted[Math.floor((sorted.length - 1) * 0.98)] : 1;
    const low = sorted.length ? Math.min(sorted[0], high) : 0;
    const { window, column, start_us, end_us } = frame.header as unknown as CellsShown;
    const { cx, cy, cz } = frame.columns as unknown as CellsShown;
    this.cells = { window, column, start_us, end_us, length: value.length, low: low > 0 && low < high / 2 ? 0 : low, high, cx, cy, cz, value };
    this.shape();
  }

  private shape(): void {
    const { cells, space } = this;
    if (!cells) return;
    const positions = new Float32Array(cells.length * 3);
    const colours = new Uint8Array(cells.length * 4);
    const heights = new Float32Array(cells.length);
    const table = ramp(this.look.theme);
    const tall = this.look.cells === 'columns';
    const layers = cells.cz.reduce((most, cz) => Math.max(most, cz), 0) + 1;
    for (let i = 0; i < cells.length; i++) {
      const [x, y] = space.cellCentre(cells.cx[i], cells.cy[i]);
      const share = Math.max(0, Math.min(1, (cells.value[i] - cells.low) / (cells.high - cells.low || 1)));
      positions.set([x, y, tall && layers > 1 && this.look.three ? cells.cz[i] * space.world.cell_m[2] * space.zScale : 0], i * 3);
      const at = Math.round(255 * share) * 3;
      colours.set([table[at], table[at + 1], table[at + 2], tall ? 190 : 40 + 140 * share], i * 4);
      heights[i] = tall ? Math.max(0.5, (COLUMN_UNITS / (layers > 1 ? 2 * layers : 1)) * share) : 0;
    }
    const radius = (Math.min(space.world.cell_m[0], space.world.cell_m[1]) * space.scale * Math.SQRT2) / 2;
    this.columns = {
      radius,
      data: {
        length: cells.length,
        attributes: {
          getPosition: { value: positions, size: 3 },
          getFillColor: { value: colours, size: 4, normalized: true },
          getElevation: { value: heights, size: 1 },
        },
      },
    };
  }

  private readonly tick = (now: number): void => {
    requestAnimationFrame(this.tick);
    const moving = this.swarm.length > 0 && this.swarm.move(now);
    while (this.alerts.length && now - this.alerts[0].at > ALERT_MS) this.alerts.shift();
    if (!moving && !this.dirty && !this.alerts.length) return;
    this.dirty = false;
    this.deck.setProps({ layers: this.layers(now) });
    this.frames++;
    if (now - this.counted > 1000) {
      this.fps = (this.frames * 1000) / (now - this.counted);
      this.frames = 0;
      this.counted = now;
    }
  };

  private layers(now: number): Layer[] {
    const { look, swarm, space } = this;
    const ink = INK[look.theme];
    const found: (Layer | false)[] = [
      new PathLayer({ id: 'grid', data: this.grid, getPath: (d) => d.path, getColor: ink.faint as never, getWidth: 1, widthUnits: 'pixels' }),
      new PathLayer({ id: 'borders', data: this.lines, getPath: (d) => d.path, getColor: ink.line as never, getWidth: 1.2, widthUnits: 'pixels' }),
      !!this.density && look.agents &&
        new BitmapLayer({
          id: 'density',
          image: this.density.image as never,
          bounds: [-space.size[0] / 2, -space.size[1] / 2, space.size[0] / 2, space.size[1] / 2],
          textureParameters: { minFilter: 'linear', magFilter: 'linear' },
        }),
      look.layer !== '' && !!this.field &&
        new BitmapLayer({
          id: 'field',
          image: this.field.image as never,
          bounds: this.field.bounds,
          textureParameters: { minFilter: 'linear', magFilter: 'linear' },
        }),
      look.cells !== 'off' && !!this.columns &&
        new ColumnLayer({
          id: 'cells',
          data: this.columns.data as never,
          diskResolution: 4,
          angle: 45,
          radius: this.columns.radius * 0.94,
          extruded: look.cells === 'columns' && look.three,
          pickable: true,
          material: { ambient: 0.55, diffuse: 0.55, shininess: 20 },
        }),
      look.agents && look.trails && swarm.trail.length > 0 && !this.density &&
        new LineLayer({
          id: 'trails',
          data: {
            length: swarm.trail.length,
            attributes: {
              getSourcePosition: { value: swarm.trail.source, size: 3 },
              getTargetPosition: { value: swarm.trail.target, size: 3 },
              getColor: { value: swarm.trail.colour, size: 4, normalized: true },
            },
          } as never,
          getWidth: swarm.length < ARROWS ? 1.6 : 1,
          widthUnits: 'pixels',
        }),
      look.agents && swarm.length > 0 && !this.density && (swarm.length <= ARROWS ? this.arrows() : this.points()),
      this.selectedPath.length > 1 &&
        new PathLayer({
          id: 'selected', data: [{ path: this.selectedPath }], getPath: (d) => d.path, getColor: ink.alert as never,
          getWidth: 2.5, widthUnits: 'pixels', jointRounded: true, capRounded: true,
        }),
      !!this.selected &&
        new ScatterplotLayer({
          id: 'ring', data: [this.selected], getPosition: (p) => p as never, getRadius: 13, radiusUnits: 'pixels', filled: false, stroked: true,
          getLineColor: ink.alert as never, getLineWidth: 2.5, lineWidthUnits: 'pixels', billboard: true,
        }),
      this.alerts.length > 0 &&
        new ScatterplotLayer({
          id: 'alerts',
          data: [...this.alerts],
          getPosition: (d) => d.position,
          getRadius: (d) => 5 + 16 * (((now - d.at) / 1400) % 1),
          getLineColor: (d) => [...ink.alert, 235 * (1 - ((now - d.at) / 1400) % 1) * (1 - (now - d.at) / ALERT_MS)] as never,
          updateTriggers: { getRadius: now, getLineColor: now },
          radiusUnits: 'pixels', filled: false, stroked: true, getLineWidth: 2, lineWidthUnits: 'pixels', billboard: true, pickable: true,
        }),
    ];
    return found.filter((layer): layer is Layer => !!layer);
  }

  private points(): Layer {
    const { swarm } = this;
    return new ScatterplotLayer({
      id: 'agents-points',
      data: {
        length: swarm.length,
        attributes: {
          getPosition: { value: swarm.now, size: 3 },
          getFillColor: { value: swarm.colours, size: 4, normalized: true },
          getRadius: { value: swarm.radii, size: 1 },
        },
      } as never,
      radiusUnits: 'pixels',
      billboard: true,
      pickable: true,
    });
  }

  private arrows(): Layer {
    const { swarm } = this;
    return new IconLayer({
      id: 'agents-arrows',
      data: {
        length: swarm.length,
        attributes: {
          getPosition: { value: swarm.now, size: 3 },
          getColor: { value: swarm.colours, size: 4, normalized: true },
          getAngle: { value: swarm.angles, size: 1 },
          getSize: { value: swarm.radii, size: 1 },
        },
      } as never,
      iconAtlas: this.arrow as never,
      iconMapping: { arrow: { x: 0, y: 0, width: 64, height: 64, mask: true } },
      getIcon: () => 'arrow',
      sizeScale: 6.5,
      sizeUnits: 'pixels',
      billboard: this.look.three,
      alphaCutoff: 0.02,
      pickable: true,
    });
  }
}

function arrow(): ImageData {
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = 64;
  const pen = canvas.getContext('2d')!;
  pen.fillStyle = '#fff';
  pen.beginPath();
  pen.moveTo(32, 4);
  pen.lineTo(52, 56);
  pen.lineTo(32, 44);
  pen.lineTo(12, 56);
  pen.closePath();
  pen.fill();
  return pen.getImageData(0, 0, 64, 64);
}

function graticule(space: Space): { path: [number, number][] }[] {
  const [w, h] = [space.size[0] / 2, space.size[1] / 2];
  const step = 100;
  const lines: { path: [number, number][] }[] = [];
  for (let x = -w; x <= w + 1e-6; x += step) lines.push({ path: [[x, -h], [x, h]] });
  for (let y = -h; y <= h + 1e-6; y += step) lines.push({ path: [[-w, y], [w, y]] });
  lines.push({ path: [[-w, -h], [w, -h], [w, h], [-w, h], [-w, -h]] });
  return lines;
}
