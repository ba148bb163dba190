import 'uplot/dist/uPlot.min.css';
import './style.css';
import { Curves } from './curves';
import { byId, clock, count, day, el } from './dom';
import { inverse } from './earth';
import { Flow } from './flow';
import type { Frame } from './frames';
import { Inspector } from './inspector';
import { Link, type Status } from './link';
import { gradient, hot, ramp, type Theme } from './palette';
import { Alerts, Health, Levels } from './panels';
import { Scene, type Look } from './scene';
import type { ColourBy } from './swarm';
import type { Alert, News, World } from './types';

const KEYS: [string, string][] = [
  ['Space', 'pause, and live again'],
  ['2 / 3', 'flat map, or in three dimensions'],
  ['A', 'agents on or off'],
  ['T', 'trails on or off'],
  ['C', 'cells: off, heat, columns'],
  ['L', 'colour by level, speed, height, score'],
  ['F', 'fit the world into view'],
  ['D', 'dark or light'],
  ['1 … 9', 'with Alt: the window of that number'],
  ['Esc', 'close what is open'],
  ['?', 'these keys'],
];

async function main(): Promise<void> {
  const theme = (localStorage.getItem('theme') ?? (matchMedia('(prefers-color-scheme: light)').matches ? 'light' : 'dark')) as Theme;
  const look: Look = { theme, three: false, agents: true, trails: true, cells: 'off', by: 'level' as ColourBy, layer: '', hidden: new Set() };
  document.documentElement.dataset.theme = theme;
  const world = await getWorld();
  if (world.origin) look.by = 'height'; // levels say nothing of what flies: all are alike
  document.title = `AURA · ${world.name}`;

  let [paused, news, status]: [boolean, News | undefined, Status] = [false, undefined, 'connecting'];
  let [chosenWindow, chosenColumn, asked] = ['', '', ''];
  let [toastBox, toastKey]: [HTMLElement | undefined, string] = [undefined, ''];

  const scene = new Scene(byId('canvas') as HTMLCanvasElement, world, look, (what) => {
    if (what.alert) void open(what.alert);
    else if (what.slot !== undefined && what.position) {
      const [x, y] = scene.space.toMetres(what.position);
      const z = what.position[2] / scene.space.zScale + world.min_m[2];
      void inspector.near([x, y, z]).catch(() => undefined);
    } else if (what.cell !== undefined && scene.cells) {
      const { window, column, cx, cy, cz } = scene.cells;
      void inspector.cell(window, cx[what.cell], cy[what.cell], cz[what.cell], column);
    }
  });

  // Header
  const [pill, when, kAgents, kRate, kLatency, kAlerts] = ['pill', 'when', 'k', 'k', 'k', 'k'].map((name) => el('span', { class: name }));
  kAgents.dataset.kpi = 'agents';
  kRate.dataset.kpi = 'rate';
  kLatency.dataset.kpi = 'latency';
  kAlerts.dataset.kpi = 'alerts';
  pill.id = 'pill';
  const pauseButton = button('Pause', 'Pause the picture (space)', () => pause(!paused));
  const killButton = button('Kill a worker', 'Kill one process of the cluster with SIGKILL, and see it come back', () => void post('kill'));
  const restoreButton = button('Restore', 'Ask for as many processes as there were', () => void post('restore'));
  killButton.classList.add('danger');
  killButton.hidden = restoreButton.hidden = true;
  killButton.id = 'kill';
  const kpi = (label: string, value: HTMLElement): HTMLElement => el('div', { class: 'kpi' }, value, el('small', {}, label));
  byId('header').append(
    el('div', { class: 'brand' }, mark(), el('b', {}, 'AURA'), el('span', { class: 'config' }, world.name)),
    pill, when,
    el('div', { class: 'kpis' }, kpi('agents', kAgents), kpi('events/s', kRate), kpi('ms end to end', kLatency), kpi('alerts', kAlerts)),
    el('div', { class: 'buttons' }, killButton, restoreButton, pauseButton,
      icon('◐', 'Dark or light (D)', () => setTheme(look.theme === 'dark' ? 'light' : 'dark')),
      icon('?', 'Keys (?)', () => toggleHelp())),
  );

  // Left: what is shown
  const left = byId('left');
  const dims = choice('Map', [['2d', '2-D'], ['3d', '3-D']], '2d', (value) => setThree(value === '3d'));
  const agentsOn = choice('Agents', [['on', 'on'], ['off', 'off']], 'on', (value) => set(() => (look.agents = value === 'on')));
  const trailsOn = choice('Trails', [['on', 'on'], ['off', 'off']], 'on', (value) => set(() => (look.trails = value === 'on')));
  const colours: ColourBy[] = ['level', 'speed', 'height', 'score'];
  const colourBy = (value: ColourBy): void => set(() => (look.by = bySelect.value = value));
  const bySelect = el('select', { id: 'by', 'aria-label': 'Colour of the agents', change: () => colourBy(bySelect.value as ColourBy) });
  choose(bySelect, colours, look.by);
  const cellsAs = choice('Cells', [['off', 'off'], ['heat', 'heat'], ['columns', 'columns']], 'off', (value) => {
    set(() => (look.cells = value as Look['cells']));
    if (value === 'columns' && !look.three) setThree(true);
    ask();
  });
  const windowSelect = el('select', { id: 'window', 'aria-label': 'Window', change: () => { chosenWindow = windowSelect.value; ask(); } });
  const columnSelect = el('select', { id: 'column', 'aria-label': 'Metric', change: () => { chosenColumn = columnSelect.value; ask(); } });
  const layerSelect = el('select', { id: 'layer', 'aria-label': 'Field', change: () => { look.layer = layerSelect.value; if (!look.layer) scene.field = undefined; set(() => undefined); } });
  left.append(
    el('h2', {}, 'Show'), dims.root, agentsOn.root, trailsOn.root,
    el('label', { class: 'field' }, el('span', {}, 'Colour'), bySelect), cellsAs.root,
    el('label', { class: 'field' }, el('span', {}, 'Window'), windowSelect),
    el('label', { class: 'field' }, el('span', {}, 'Metric'), columnSelect),
    el('label', { class: 'field' }, el('span', {}, 'Field'), layerSelect),
  );
  const levels = new Levels(left, look, () => set(() => undefined));

  // Right: alerts, flow, health; the inspector above them
  const [alertsBox, flowBox, healthBox] = [el('section', {}), el('section', {}), el('section', {})];
  const inspectorBox = el('section', { id: 'inspector', hidden: true });
  const alerts = new Alerts(alertsBox, (alert) => void open(alert));
  const [flow, health] = [new Flow(flowBox), new Health(healthBox)];
  const inspector = new Inspector(inspectorBox, ({ path, at }) => {
    const { space } = scene;
    scene.selectedPath = path.map(([x, y, z]) => [space.x(x), space.y(y), space.z(z)]);
    scene.selected = at ? [space.x(at[0]), space.y(at[1]), space.z(at[2])] : undefined;
    scene.changed(false);
  });
  byId('right').append(inspectorBox, tabs([['Alerts', alertsBox], ['Flow', flowBox], ['Health', healthBox]]));
  const curves = new Curves(byId('curves'));

  const link = new Link(onNews, onFrame, onStatus);
  ask();
  setInterval(() => {
    const { agent, cell } = inspector.selected;
    if (paused || status !== 'live') return;
    if (agent) void inspector.agent(agent).catch(() => undefined);
    else if (cell) void inspector.cell(...cell).catch(() => undefined);
  }, 2000);
  addEventListener('keydown', onKey);
  Object.assign(globalThis, { aura: { scene, look, news: () => news, status: () => status } });

  function onNews(next: News): void {
    const fresh = news === undefined || next.counts.alerts < (news.counts.alerts ?? 0);
    news = next;
    for (const alert of next.alerts) if (!fresh || next.alerts.length < 20) scene.note(alert);
    alerts.add(next.alerts);
    curves.add(next.curves, next.samples);
    if (paused) return;
    const last = (name: string): number | null | undefined => {
      const at = next.curves.indexOf(name);
      return next.samples.at(-1)?.[at];
    };
    levels.show(next.levels);
    kAgents.textContent = count(next.agents);
    kAlerts.textContent = count(next.counts.alerts);
    if (next.samples.length) {
      kRate.textContent = count(last('events_per_s'));
      const latency = last('latency_ms');
      if (latency !== null && latency !== undefined) kLatency.textContent = count(latency);
    }
    when.textContent = next.time_us ? `${day(next.time_us)} ${clock(next.time_us)} UTC` : '';
    choose(windowSelect, Object.keys(next.windows), (chosenWindow ||= Object.keys(next.windows)[0] ?? ''));
    choose(columnSelect, next.columns, (chosenColumn ||= next.columns[0] ?? ''));
    choose(layerSelect, ['', ...next.layers], look.layer, next.layers.length ? 'off' : 'none in this flow');
    if (chosenWindow && chosenColumn) ask();
    flow.show(next);
    health.show(next, status === 'live', scene.fps);
    showCluster(next);
    showPill();
    showEmpty();
  }

  function onFrame(frame: Frame): void {
    if (paused) return;
    scene.take(frame);
    showLegend();
  }

  function onStatus(next: Status): void {
    status = next;
    showPill();
    showEmpty();
  }

  function ask(): void {
    const wants = JSON.stringify({ window: look.cells === 'off' ? null : chosenWindow, column: chosenColumn, layer: look.layer || null, paused });
    if (wants === asked) return;
    asked = wants;
    link.ask(JSON.parse(wants));
  }

  function showPill(): void {
    const cluster = news?.cluster;
    const down = cluster && !['running', 'ended'].includes(cluster.state);
    const [kind, text] = status !== 'live' ? ['lost', status === 'connecting' ? 'connecting' : 'reconnecting…'] : paused ? ['paused', 'paused'] : down ? ['waiting', `cluster ${cluster.state}`] : ['live', 'live'];
    pill.className = `pill ${kind}`;
    pill.textContent = text;
  }

  function showCluster({ cluster }: News): void {
    killButton.hidden = !cluster;
    if (!cluster) return;
    killButton.toggleAttribute('disabled', cluster.state !== 'running' || cluster.nodes < 2);
    restoreButton.hidden = !(cluster.state === 'running' && cluster.most !== undefined && cluster.nodes < cluster.most);
    const { killed } = cluster;
    if (!killed) return;
    const back = killed.back_s !== null;
    toast(back ? `Process ${killed.pid} was killed. ${cluster.nodes} went on from the last snapshot after ${killed.back_s!.toFixed(2)} s; nothing is lost.` : `Process ${killed.pid} killed; the cluster starts again…`, back ? 'good' : 'bad', `${killed.pid}${back}`);
  }

  function showEmpty(): void {
    const box = byId('empty');
    const nothing = !scene.swarm.length && !scene.density;
    const text = news?.trouble ? ['Nothing comes', news.trouble] : status === 'lost' ? ['The server does not answer', 'It is tried again until it does; the picture is the last one that came.']
      : nothing ? ['Waiting for the first events', 'Start a flow with dashboard.enabled = true, for example: aura demo'] : null;
    box.hidden = !text;
    if (text) box.replaceChildren(el('b', {}, text[0]), el('p', {}, text[1]));
    box.classList.toggle('over', status === 'lost' || Boolean(news?.trouble && !nothing));
  }

  function showLegend(): void {
    const parts: Node[] = [];
    const { cells, swarm, density } = scene;
    if (density) parts.push(bar(`agents in a square of ${count(density.header.cell_m as number)} m`, ramp(look.theme), 0, density.most));
    else if (look.agents && look.by !== 'level' && swarm.ranges[look.by]) {
      if (look.by === 'score' && !swarm.scored) parts.push(el('p', { class: 'note' }, 'No model scores these events.'));
      else parts.push(bar({ speed: 'speed, m/s', height: 'height, m', score: 'score' }[look.by], hot(look.theme), ...swarm.ranges[look.by]));
    }
    if (look.cells !== 'off' && cells) parts.push(bar(`${cells.column.replaceAll('_', ' ')} · ${cells.window} from ${clock(cells.start_us)}`, ramp(look.theme), cells.low, cells.high));
    if (look.layer && scene.field) parts.push(bar(`${scene.field.layer.replaceAll('_', ' ')} of the field at ${clock(scene.field.time_us)}`, ramp(look.theme), scene.field.low, scene.field.high));
    byId('legend').replaceChildren(...parts);
  }

  async function open(alert: Alert): Promise<void> {
    if (alert.kind === 'agent' && alert.agent_id) await inspector.agent(alert.agent_id);
    else if (alert.window) await inspector.cell(alert.window, alert.cx!, alert.cy!, alert.cz!, chosenColumn || 'count', alert);
    const position = scene.place(alert);
    if (position) scene.goTo(position);
  }

  function set(change: () => void): void {
    change();
    scene.changed();
    showLegend();
    ask();
  }

  function setThree(three: boolean): void {
    look.three = three;
    dims.show(three ? '3d' : '2d');
    scene.turn();
  }

  function setTheme(next: Theme): void {
    look.theme = next;
    localStorage.setItem('theme', next);
    document.documentElement.dataset.theme = next;
    levels.paint();
    curves.build();
    scene.changed();
    showLegend();
  }

  function pause(next: boolean): void {
    paused = next;
    pauseButton.textContent = paused ? 'Live' : 'Pause';
    pauseButton.setAttribute('aria-pressed', String(paused));
    showPill();
    ask();
  }

  function onKey(event: KeyboardEvent): void {
    const target = event.target as HTMLElement;
    if (event.ctrlKey || event.metaKey || ['SELECT', 'INPUT'].includes(target.tagName)) return;
    const key = event.key.toLowerCase();
    if (event.altKey && /[1-9]/.test(key)) {
      const name = Object.keys(news?.windows ?? {})[Number(key) - 1];
      if (name) {
        chosenWindow = windowSelect.value = name;
        ask();
      }
      return;
    }
    const actions: Record<string, () => void> = {
      ' ': () => pause(!paused),
      '2': () => setThree(false),
      '3': () => setThree(true),
      a: () => agentsOn.next(),
      t: () => trailsOn.next(),
      c: () => cellsAs.next(),
      l: () => colourBy(colours[(colours.indexOf(look.by) + 1) % colours.length]),
      f: () => scene.fit(),
      d: () => setTheme(look.theme === 'dark' ? 'light' : 'dark'),
      '?': toggleHelp,
      escape: () => inspector.close(),
    };
    if (!actions[key]) return;
    if (key === ' ') event.preventDefault();
    actions[key]();
  }

  function toggleHelp(): void {
    const dialog = byId('help') as HTMLDialogElement;
    if (dialog.open) return dialog.close();
    dialog.replaceChildren(
      el('h2', {}, 'Keys'),
      el('table', {}, ...KEYS.map(([key, what]) => el('tr', {}, el('th', {}, el('kbd', {}, key)), el('td', {}, what)))),
      el('p', { class: 'note' }, 'Drag to move, scroll to zoom, drag with the right button to turn in 3-D. Click an agent, a cell or an alert.'),
      el('form', { method: 'dialog' }, el('button', {}, 'Close')),
    );
    dialog.showModal();
  }

  function toast(text: string, kind: string, key: string): void {
    if (key === toastKey) return;
    toastKey = key;
    toastBox?.remove();
    const box = el('div', { class: `toast ${kind}`, role: 'status', id: 'toast' }, text);
    toastBox = box;
    byId('map').append(box);
    if (kind === 'good') setTimeout(() => box.remove(), 60_000);
  }

  async function post(what: string): Promise<void> {
    const answer = await fetch(`/api/v1/cluster/${what}`, { method: 'POST' });
    if (!answer.ok) toast((await answer.json()).error, 'bad', String(performance.now()));
  }

  // The place under the pointer, in degrees on the Earth, else in metres.
  byId('map').addEventListener('pointermove', (event) => {
    const rect = byId('map').getBoundingClientRect();
    const viewport = (scene as unknown as { deck: { getViewports(): { unproject(p: number[]): number[] }[] } }).deck.getViewports()[0];
    if (!viewport || look.three) return void byId('scale').replaceChildren();
    const metres = scene.space.toMetres(viewport.unproject([event.clientX - rect.left, event.clientY - rect.top]));
    const text = world.origin ? inverse(world.origin, metres).map((v, i) => `${Math.abs(v).toFixed(2)}° ${'NESW'[i + (v < 0 ? 2 : 0)]}`).join('  ') : metres.map((v) => `${v.toFixed(0)} m`).join('  ');
    byId('scale').textContent = text;
  });
}

async function getWorld(): Promise<World> {
  for (let wait = 250; ; wait = Math.min(wait * 2, 4000)) {
    try {
      const answer = await fetch('/api/v1/world');
      if (answer.ok) return await answer.json();
      if (answer.status === 401) {
        byId('empty').hidden = false;
        byId('empty').replaceChildren(el('b', {}, 'A token is needed'), el('p', {}, 'Open the address that the server printed, with ?token=…'));
      }
    } catch {
      byId('empty').hidden = false;
      byId('empty').replaceChildren(el('b', {}, 'The server does not answer'));
    }
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

function button(text: string, title: string, click: () => void): HTMLButtonElement {
  return el('button', { title, type: 'button', click }, text);
}

function icon(text: string, title: string, click: () => void): HTMLButtonElement {
  return el('button', { class: 'icon', title, 'aria-label': title, type: 'button', click }, text);
}

function choice(label: string, options: [string, string][], first: string, onChange: (value: string) => void) {
  let value = first;
  const buttons = options.map(([key, text]) => el('button', { type: 'button', role: 'radio', 'data-value': key, click: () => pick(key) }, text));
  const show = (next: string): void => {
    value = next;
    buttons.forEach((b) => b.setAttribute('aria-checked', String(b.dataset.value === next)));
  };
  const pick = (next: string): void => {
    show(next);
    onChange(next);
  };
  show(first);
  const root = el('div', { class: 'field' }, el('span', {}, label), el('div', { class: 'segments', role: 'radiogroup', 'aria-label': label }, ...buttons));
  const next = (): void => pick(options[(options.findIndex(([key]) => key === value) + 1) % options.length][0]);
  return { root, show, next };
}

function choose(select: HTMLSelectElement, names: string[], value: string, none = ''): void {
  if (select.options.length !== names.length || [...select.options].map((o) => o.value).join() !== names.join()) {
    select.replaceChildren(...names.map((name) => el('option', { value: name }, name.replaceAll('_', ' ') || none)));
  }
  if (document.activeElement !== select) select.value = value;
}

function tabs(pages: [string, HTMLElement][]): HTMLElement {
  const buttons = pages.map(([name], i) => el('button', { role: 'tab', type: 'button', click: () => show(i) }, name));
  const show = (chosen: number): void =>
    pages.forEach(([, page], i) => {
      page.hidden = i !== chosen;
      buttons[i].setAttribute('aria-selected', String(i === chosen));
    });
  pages.forEach(([, page]) => page.setAttribute('role', 'tabpanel'));
  show(0);
  return el('div', { class: 'tabs' }, el('div', { role: 'tablist' }, ...buttons), ...pages.map(([, page]) => page));
}

function bar(label: string, colours: Uint8Array, low: number, high: number): HTMLElement {
  const ramp = el('i', {});
  ramp.style.background = gradient(colours);
  return el('div', { class: 'bar' }, el('span', {}, label), ramp, el('small', {}, count(low)), el('small', {}, count(high)));
}

function mark(): HTMLElement {
  return el('img', { src: '/icon.svg', alt: '', width: '22', height: '22' });
}

void main();
