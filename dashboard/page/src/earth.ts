// Borders and coastlines (Natural Earth, public domain), projected as the events are (kernels/projection.py).

import { mesh } from 'topojson-client';
import type { Space } from './space';

const A = 6378137;
const F = 1 / 298.257223563;
const E2 = F * (2 - F);

export interface Line {
  path: [number, number][];
}

export async function borders(space: Space): Promise<Line[]> {
  const origin = space.world.origin;
  if (!origin) return [];
  const { default: url } = await import('world-atlas/countries-50m.json?url');
  const topology = await (await fetch(url)).json();
  const all = mesh(topology, topology.objects.countries);
  const forward = projection(origin);
  const [mx, my] = [space.size[0] * 0.75, space.size[1] * 0.75];
  const lines: Line[] = [];
  for (const line of all.coordinates) {
    let run: [number, number][] = [];
    for (const place of line) {
      const [x_m, y_m] = forward(place as [number, number]);
      const point: [number, number] = [space.x(x_m), space.y(y_m)];
      if (Math.abs(point[0]) < mx && Math.abs(point[1]) < my) run.push(point);
      else {
        if (run.length > 1) lines.push({ path: run });
        run = [];
      }
    }
    if (run.length > 1) lines.push({ path: run });
  }
  return lines;
}

export function projection([lat0, lon0]: [number, number]): (place: [number, number]) => [number, number] {
  const [east, north] = metresPerDegree(lat0);
  return ([lon, lat]) => {
    let d = lon - lon0;
    d -= 360 * Math.round(d / 360);
    return [d * east, (lat - lat0) * north];
  };
}

export function inverse([lat0, lon0]: [number, number], [x_m, y_m]: [number, number]): [number, number] {
  const [east, north] = metresPerDegree(lat0);
  return [y_m / north + lat0, x_m / east + lon0];
}

function metresPerDegree(lat0: number): [number, number] {
  const phi = (lat0 * Math.PI) / 180;
  const w = Math.sqrt(1 - E2 * Math.sin(phi) ** 2);
  const n = A / w;
  const m = (n * (1 - E2)) / w ** 2;
  return [(Math.PI / 180) * n * Math.cos(phi), (Math.PI / 180) * m];
}
