// Where it begins.

import 'uplot/dist/uPlot.min.css';
import './style.css';
import { firstLook } from './look';
import { Page } from './page';
import { getWorld } from './world';

async function main(): Promise<void> {
  const look = firstLook();
  document.documentElement.dataset.theme = look.theme;
  const world = await getWorld();
  if (world.origin) look.by = 'height'; // levels say nothing of what flies: all are alike
  document.title = `AURA · ${world.name}`;
  const page = new Page(world, look);
  Object.assign(globalThis, { aura: { scene: page.scene, curves: page.curves, look, news: () => page.news, status: () => page.status } });
}

void main();
