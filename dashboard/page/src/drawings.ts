// What is drawn without data: the arrow of an agent, the lines of the ground.

import type { Line } from './earth';
import type { Space } from './space';

const STEP = 100; // units between two lines

export function arrow(): ImageData {
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

export function graticule(space: Space): Line[] {
  const [w, h] = [space.size[0] / 2, space.size[1] / 2];
  const lines: Line[] = [];
  for (let x = -w; x <= w + 1e-6; x += STEP) lines.push({ path: [[x, -h], [x, h]] });
  for (let y = -h; y <= h + 1e-6; y += STEP) lines.push({ path: [[-w, y], [w, y]] });
  lines.push({ path: [[-w, -h], [w, -h], [w, h], [-w, h], [-w, -h]] });
  return lines;
}
