// The layers of the map, the lowest first: deck.gl over binary attributes.

import type { Layer } from '@deck.gl/core';
import { BitmapLayer, ColumnLayer, IconLayer, LineLayer, PathLayer, ScatterplotLayer } from '@deck.gl/layers';
import type { Columns } from './columns';
import type { Line } from './earth';
import type { Look } from './look';
import type { Theme } from './palette';
import type { Density, FieldShown } from './pictures';
import type { Swarm } from './swarm';
import type { Alert } from './types';

type Place = [number, number, number];

export interface Raised {
  at: number;
  position: Place;
  alert: Alert;
}

/** What there is to draw. */
export interface Drawn {
  look: Look;
  grid: Line[];
  lines: Line[];
  swarm: Swarm;
  density?: Density;
  field?: FieldShown;
  columns?: Columns;
  alerts: Raised[];
  selected?: Place;
  selectedPath: Place[];
  arrow: ImageData;
}

const INK: Record<Theme, { line: number[]; faint: number[]; alert: number[] }> = {
  dark: { line: [120, 140, 170, 150], faint: [90, 105, 130, 60], alert: [255, 92, 92] },
  light: { line: [70, 84, 104, 170], faint: [120, 132, 150, 70], alert: [200, 30, 30] },
};
const ARROWS = 5000; // up to so many agents are drawn as arrows
const BEAT_MS = 1400;
export const ALERT_MS = 12_000;

export function layersOf(drawn: Drawn, now: number): Layer[] {
  const { look, swarm, density } = drawn;
  const found: (Layer | false)[] = [
    ...ground(drawn),
    look.cells !== 'off' && !!drawn.columns && cells(drawn.columns, look),
    look.agents && look.trails && swarm.trail.length > 0 && !density && trails(swarm),
    look.agents && swarm.length > 0 && !density && (swarm.length <= ARROWS ? arrows(drawn) : points(swarm)),
    ...marked(drawn),
    drawn.alerts.length > 0 && alerts(drawn, now),
  ];
  return found.filter((layer): layer is Layer => !!layer);
}

function ground({ look, grid, lines, density, field }: Drawn): (Layer | false)[] {
  const ink = INK[look.theme];
  const textureParameters = { minFilter: 'linear', magFilter: 'linear' } as const;
  return [
    new PathLayer({ id: 'grid', data: grid, getPath: (d) => d.path, getColor: ink.faint as never, getWidth: 1, widthUnits: 'pixels' }),
    new PathLayer({ id: 'borders', data: lines, getPath: (d) => d.path, getColor: ink.line as never, getWidth: 1.2, widthUnits: 'pixels' }),
    !!density && look.agents && new BitmapLayer({ id: 'density', image: density.image as never, bounds: density.bounds, textureParameters }),
    look.layer !== '' && !!field && new BitmapLayer({ id: 'field', image: field.image as never, bounds: field.bounds, textureParameters }),
  ];
}

function cells({ data, radius }: Columns, look: Look): Layer {
  return new ColumnLayer({
    id: 'cells', data: data as never, diskResolution: 4, angle: 45, radius: radius * 0.94, extruded: look.cells === 'columns' && look.three,
    pickable: true, material: { ambient: 0.55, diffuse: 0.55, shininess: 20 },
  });
}

function trails(swarm: Swarm): Layer {
  const attributes = {
    getSourcePosition: { value: swarm.trail.source, size: 3 },
    getTargetPosition: { value: swarm.trail.target, size: 3 },
    getColor: { value: swarm.trail.colour, size: 4, normalized: true },
  };
  return new LineLayer({
    id: 'trails', data: { length: swarm.trail.length, attributes } as never, getWidth: swarm.length < ARROWS ? 1.6 : 1, widthUnits: 'pixels',
  });
}

function points(swarm: Swarm): Layer {
  const attributes = {
    getPosition: { value: swarm.now, size: 3 },
    getFillColor: { value: swarm.colours, size: 4, normalized: true },
    getRadius: { value: swarm.radii, size: 1 },
  };
  return new ScatterplotLayer({ id: 'agents-points', data: { length: swarm.length, attributes } as never, radiusUnits: 'pixels', billboard: true, pickable: true });
}

function arrows({ swarm, arrow, look }: Drawn): Layer {
  const attributes = {
    getPosition: { value: swarm.now, size: 3 },
    getColor: { value: swarm.colours, size: 4, normalized: true },
    getAngle: { value: swarm.angles, size: 1 },
    getSize: { value: swarm.radii, size: 1 },
  };
  return new IconLayer({
    id: 'agents-arrows', data: { length: swarm.length, attributes } as never,
    iconAtlas: arrow as never, iconMapping: { arrow: { x: 0, y: 0, width: 64, height: 64, mask: true } }, getIcon: () => 'arrow',
    sizeScale: 6.5, sizeUnits: 'pixels', billboard: look.three, alphaCutoff: 0.02, pickable: true,
  });
}

function marked({ look, selected, selectedPath }: Drawn): (Layer | false)[] {
  const ink = INK[look.theme];
  return [
    selectedPath.length > 1 &&
      new PathLayer({
        id: 'selected', data: [{ path: selectedPath }], getPath: (d) => d.path, getColor: ink.alert as never,
        getWidth: 2.5, widthUnits: 'pixels', jointRounded: true, capRounded: true,
      }),
    !!selected &&
      new ScatterplotLayer({
        id: 'ring', data: [selected], getPosition: (p) => p as never, getRadius: 13, radiusUnits: 'pixels', filled: false, stroked: true,
        getLineColor: ink.alert as never, getLineWidth: 2.5, lineWidthUnits: 'pixels', billboard: true,
      }),
  ];
}

function alerts({ look, alerts }: Drawn, now: number): Layer {
  const beat = (d: Raised): number => ((now - d.at) / BEAT_MS) % 1;
  return new ScatterplotLayer({
    id: 'alerts', data: [...alerts], getPosition: (d) => d.position,
    getRadius: (d) => 5 + 16 * beat(d),
    getLineColor: (d) => [...INK[look.theme].alert, 235 * (1 - beat(d)) * (1 - (now - d.at) / ALERT_MS)] as never,
    updateTriggers: { getRadius: now, getLineColor: now },
    radiusUnits: 'pixels', filled: false, stroked: true, getLineWidth: 2, lineWidthUnits: 'pixels', billboard: true, pickable: true,
  });
}
