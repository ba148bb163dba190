// The page: what comes from the server goes to its parts, and what its reader chooses goes back.

import { Alerts } from './alerts';
import { Curves } from './curves';
import { byId, el } from './dom';
import { Flow } from './flow';
import type { Frame } from './frames';
import { Header } from './header';
import { Health } from './health';
import { Inspector, type Found } from './inspector';
import { listen, toggleHelp } from './keys';
import { legend } from './legend';
import { Levels } from './levels';
import { Link, type Status } from './link';
import type { Look } from './look';
import { showEmpty, Toast } from './notices';
import type { Theme } from './palette';
import { Scene, type Picked } from './scene';
import { Show } from './show';
import type { Alert, News, World } from './types';
import { tabs } from './widgets';
import { followPointer } from './world';

const AGAIN_MS = 2000; // between two questions about what is open

export class Page {
  news?: News;
  status: Status = 'connecting';
  readonly scene: Scene;
  private paused = false;
  private asked = '';
  private readonly toast = new Toast();
  private readonly header: Header;
  private readonly show: Show;
  private readonly levels: Levels;
  private readonly alerts: Alerts;
  private readonly flow: Flow;
  private readonly health: Health;
  private readonly inspector: Inspector;
  readonly curves: Curves;
  private readonly link: Link;

  constructor(
    private readonly world: World,
    readonly look: Look,
  ) {
    this.scene = new Scene(byId('canvas') as HTMLCanvasElement, world, look, (what) => this.picked(what));
    this.header = new Header(world.name, {
      pause: () => this.pause(), kill: () => void this.post('kill'), restore: () => void this.post('restore'), theme: () => this.turnTheme(), help: toggleHelp,
    });
    this.show = new Show(byId('left'), look, { look: () => this.changed(), three: (three) => this.setThree(three) });
    this.levels = new Levels(byId('left'), look, world.time_scales_ms, () => this.changed());
    const [alerts, flow, health] = [el('section', {}), el('section', {}), el('section', {})];
    const inspector = el('section', { id: 'inspector', hidden: true });
    this.alerts = new Alerts(alerts, (alert) => void this.open(alert));
    [this.flow, this.health] = [new Flow(flow), new Health(health)];
    this.inspector = new Inspector(inspector, (found) => this.mark(found));
    byId('right').append(inspector, tabs([['Alerts', alerts], ['Flow', flow], ['Health', health]]));
    this.curves = new Curves(byId('curves'));
    this.link = new Link((news) => this.onNews(news), (frame) => this.onFrame(frame), (status) => this.onStatus(status));
    this.ask();
    this.listen();
    followPointer(this.scene);
    setInterval(() => this.askAgain(), AGAIN_MS);
  }

  private onNews(next: News): void {
    const fresh = this.news === undefined || next.counts.alerts < (this.news.counts.alerts ?? 0);
    this.news = next;
    for (const alert of next.alerts) if (!fresh || next.alerts.length < 20) this.scene.note(alert);
    this.alerts.add(next.alerts);
    this.curves.add(next);
    if (this.paused) return;
    this.header.show(next);
    this.show.update(next);
    this.levels.show(next);
    if (this.show.window && this.show.column) this.ask();
    this.flow.show(next);
    this.health.show(next, this.status === 'live', this.scene.fps);
    this.header.cluster(next.cluster);
    if (next.cluster) this.toast.killed(next.cluster);
    this.tell();
  }

  private onFrame(frame: Frame): void {
    if (this.paused) return;
    this.scene.take(frame);
    this.showLegend();
  }

  private onStatus(next: Status): void {
    this.status = next;
    this.tell();
  }

  private tell(): void {
    this.header.status(this.status, this.paused, this.news?.cluster);
    showEmpty(!this.scene.swarm.length && !this.scene.density, this.status, this.news);
  }

  private ask(): void {
    const { look, paused, show } = this;
    const wants = { window: look.cells === 'off' ? null : show.window, column: show.column, layer: look.layer || null, paused };
    if (JSON.stringify(wants) === this.asked) return;
    this.asked = JSON.stringify(wants);
    this.link.ask(wants);
  }

  /** Ask again about what is open: its values change. */
  private askAgain(): void {
    const { agent, cell } = this.inspector.selected;
    if (this.paused || this.status !== 'live') return;
    if (agent) void this.inspector.agent(agent).catch(() => undefined);
    else if (cell) void this.inspector.cell(...cell).catch(() => undefined);
  }

  private picked(what: Picked): void {
    const { scene, inspector } = this;
    if (what.alert) void this.open(what.alert);
    else if (what.position) {
      const [x, y] = scene.space.toMetres(what.position);
      const z = what.position[2] / scene.space.zScale + this.world.min_m[2];
      void inspector.near([x, y, z]).catch(() => undefined);
    } else if (what.cell !== undefined && scene.cells) {
      const { window, column, cx, cy, cz } = scene.cells;
      void inspector.cell(window, cx[what.cell], cy[what.cell], cz[what.cell], column);
    }
  }

  private async open(alert: Alert): Promise<void> {
    if (alert.kind === 'agent' && alert.agent_id) await this.inspector.agent(alert.agent_id);
    else if (alert.window) await this.inspector.cell(alert.window, alert.cx!, alert.cy!, alert.cz!, this.show.column || 'count', alert);
    const position = this.scene.place(alert);
    if (position) this.scene.goTo(position);
  }

  private mark({ path, at }: Found): void {
    const { space } = this.scene;
    this.scene.selectedPath = path.map(([x, y, z]) => [space.x(x), space.y(y), space.z(z)]);
    this.scene.selected = at ? [space.x(at[0]), space.y(at[1]), space.z(at[2])] : undefined;
    this.scene.changed(false);
  }

  private changed(): void {
    if (!this.look.layer) this.scene.field = undefined;
    this.scene.changed();
    this.showLegend();
    this.ask();
  }

  private showLegend(): void {
    byId('legend').replaceChildren(...legend(this.scene));
  }

  private setThree(three: boolean): void {
    this.look.three = three;
    this.show.three(three);
    this.scene.turn();
  }

  private turnTheme(): void {
    const next: Theme = this.look.theme === 'dark' ? 'light' : 'dark';
    this.look.theme = next;
    localStorage.setItem('theme', next);
    document.documentElement.dataset.theme = next;
    this.levels.paint();
    this.curves.build();
    this.changed();
  }

  private pause(): void {
    this.paused = !this.paused;
    this.tell();
    this.ask();
  }

  private listen(): void {
    const { show, scene } = this;
    const actions: Record<string, () => void> = {
      ' ': () => this.pause(),
      '2': () => this.setThree(false),
      '3': () => this.setThree(true),
      a: () => show.agents.next(),
      t: () => show.trails.next(),
      c: () => show.cells.next(),
      l: () => show.nextColour(),
      f: () => scene.fit(),
      d: () => this.turnTheme(),
      '?': toggleHelp,
      escape: () => this.inspector.close(),
    };
    listen(actions, (number) => {
      const name = Object.keys(this.news?.windows ?? {})[number - 1];
      if (!name) return;
      show.window = name;
      if (this.news) show.update(this.news);
      this.ask();
    });
  }

  private async post(what: string): Promise<void> {
    const answer = await fetch(`/api/v1/cluster/${what}`, { method: 'POST' });
    if (!answer.ok) this.toast.show((await answer.json()).error, 'bad', String(performance.now()));
  }
}
