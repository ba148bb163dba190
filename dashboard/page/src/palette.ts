// Colours that people with a colour vision deficiency can tell apart (Okabe and Ito 2008; viridis and cividis).

export type Rgb = [number, number, number];
export type Theme = 'dark' | 'light';

export const LEVELS: Record<Theme, Rgb[]> = {
  dark: [
    [86, 180, 233],
    [230, 159, 0],
    [0, 190, 140],
    [240, 228, 66],
    [235, 110, 40],
    [224, 140, 190],
    [255, 255, 255],
  ],
  light: [
    [0, 114, 178],
    [214, 138, 0],
    [0, 140, 100],
    [158, 142, 0],
    [213, 94, 0],
    [176, 82, 138],
    [20, 22, 28],
  ],
};

export const LEVEL_NAMES = [
  'micro-agents',
  'local coordinators',
  'regional managers',
  'global strategists',
  'meta-coordinators',
  'architects',
  'central consciousness',
];

// Every eighth colour of matplotlib's viridis and cividis.
const VIRIDIS: Rgb[] = [
  [68, 1, 84], [71, 44, 122], [59, 81, 139], [44, 113, 142], [33, 144, 141], [39, 173, 129], [92, 200, 99], [170, 220, 50], [253, 231, 37],
];
const CIVIDIS: Rgb[] = [
  [0, 34, 78], [18, 53, 112], [59, 73, 108], [87, 93, 109], [112, 113, 115], [138, 134, 120], [165, 156, 116], [195, 179, 105], [225, 204, 85], [254, 232, 56],
];

function table(stops: Rgb[]): Uint8Array {
  const out = new Uint8Array(256 * 3);
  for (let i = 0; i < 256; i++) {
    const at = (i / 255) * (stops.length - 1);
    const low = Math.min(Math.floor(at), stops.length - 2);
    for (let c = 0; c < 3; c++) out[i * 3 + c] = Math.round(stops[low][c] + (stops[low + 1][c] - stops[low][c]) * (at - low));
  }
  return out;
}

const MAPS: Record<Theme, Uint8Array> = { dark: table(VIRIDIS), light: table([...CIVIDIS].reverse()) };
const HOT: Record<Theme, Uint8Array> = {
  dark: table([[70, 110, 150], [86, 180, 233], [240, 228, 66], [235, 110, 40]]),
  light: table([[120, 150, 180], [0, 114, 178], [190, 150, 0], [196, 60, 0]]),
};

export const ramp = (theme: Theme): Uint8Array => MAPS[theme];
export const hot = (theme: Theme): Uint8Array => HOT[theme];

export function gradient(colours: Uint8Array): string {
  const stops = [];
  for (let i = 0; i < 256; i += 51) stops.push(`rgb(${colours[i * 3]},${colours[i * 3 + 1]},${colours[i * 3 + 2]})`);
  return `linear-gradient(90deg, ${stops.join(',')})`;
}
