// The hierarchy as a tree of seven levels: of each its newest step, and what is said up and down between two of them.

import { count, clock, el } from './dom';
import type { Look } from './look';
import { LEVELS, LEVEL_NAMES } from './palette';
import type { LevelState, News } from './types';
import { choose } from './widgets';

interface Row {
  row: HTMLElement;
  dot: HTMLElement;
  agents: HTMLElement;
  bar: HTMLElement;
  step: HTMLElement;
  state: HTMLElement;
  said: HTMLElement; // between this level and the one below
}

export class Levels {
  private readonly rows: Row[] = [];
  private readonly metric: HTMLSelectElement;
  private readonly pick: HTMLElement;
  private readonly note = el('p', { class: 'note', id: 'no-hierarchy', hidden: true });
  private readonly key = el('p', { class: 'note', hidden: true }, 'State ← what it saw; ↑ ↓ told up and down.');
  private chosen = '';
  private times: (number | undefined)[] = [];

  constructor(
    root: HTMLElement,
    private readonly look: Look,
    private readonly scales_ms: number[],
    onChange: () => void,
  ) {
    this.metric = el('select', { id: 'level-metric', 'aria-label': 'State of which metric', change: () => (this.chosen = this.metric.value) });
    this.pick = el('label', { class: 'field' }, el('span', {}, 'State of'), this.metric);
    const tree = el('ul', { class: 'tree', role: 'tree', 'aria-label': 'Seven levels' });
    for (let level = 6; level >= 0; level--) tree.append(this.item(level, onChange));
    root.append(el('h2', {}, 'Hierarchy'), this.pick, this.note, tree, this.key);
    this.paint();
  }

  paint(): void {
    this.rows.forEach(({ dot, bar }, level) => {
      const colour = `rgb(${LEVELS[this.look.theme][level].join(',')})`;
      dot.style.background = colour;
      bar.style.background = colour;
    });
  }

  show({ levels, hierarchy, unknown }: News): void {
    const most = Math.log10(Math.max(...levels, 1) + 1);
    const metrics = Object.keys(hierarchy.find((each) => each)?.metrics ?? {});
    this.chosen ||= metrics[0] ?? '';
    choose(this.metric, metrics, this.chosen);
    const has = hierarchy.some((each) => each);
    this.pick.hidden = !metrics.length;
    this.note.hidden = has;
    this.key.hidden = !has;
    this.note.textContent = has ? '' : `Agents by level alone. The states of the levels: ${unknown.hierarchy}.`;
    this.rows.forEach((row, level) => {
      row.agents.textContent = count(levels[level]);
      row.bar.style.width = `${(100 * Math.log10(levels[level] + 1)) / most}%`;
      row.row.classList.toggle('none', levels[level] === 0 && !hierarchy[level]);
      row.step.hidden = row.state.hidden = !has;
      row.said.hidden = !has || level === 0;
      if (has) this.state(level, hierarchy[level], hierarchy[level - 1] ?? null);
    });
  }

  private state(level: number, own: LevelState | null, below: LevelState | null): void {
    const { row, step, state, said } = this.rows[level];
    const scale = this.scales_ms[level] ? duration(this.scales_ms[level]) : '';
    step.textContent = own ? `${scale} · ${count(own.regions)} region${own.regions === 1 ? '' : 's'}` : `${scale} · no step has ended yet`;
    const metric = own?.metrics[this.chosen];
    state.textContent = metric && metric.state !== null ? `${count(metric.state)} ← ${count(metric.mean)}` : '';
    said.replaceChildren(arrows('↑', below?.up, `regions of level ${level - 1} told their parents what they saw`), arrows('↓', own?.down, `regions of level ${level} told their children whereto`));
    if (own && this.times[level] !== own.time_us) {
      this.times[level] = own.time_us;
      row.classList.remove('stepped');
      void row.offsetWidth; // so that the animation begins anew
      row.classList.add('stepped');
      row.title = this.words(level, own);
    }
  }

  private words(level: number, own: LevelState): string {
    const metrics = Object.entries(own.metrics).map(([name, { mean, state, gap }]) => `${name}: state ${count(state)}, saw ${count(mean)}, apart by ${count(gap)}`);
    return [
      `Level ${level}: the step that ended at ${clock(own.time_us)}, ${count(own.events)} events in ${count(own.regions)} regions, ${count(own.agents)} agents of this level in them.`,
      ...metrics,
      'A state follows what its region saw by the coupling, once a step. Click: show or hide its agents.',
    ].join('\n');
  }

  private item(level: number, onChange: () => void): HTMLElement {
    const [agents, bar, dot] = [el('b', { 'data-level': `${level}` }, '–'), el('i', {}), el('span', { class: 'dot' })];
    const [step, state] = [el('small', { class: 'of', 'data-step': `${level}` }), el('small', { class: 'state', 'data-state': `${level}` })];
    const said = el('div', { class: 'said', 'data-said': `${level}`, hidden: true });
    const toggle = (): void => {
      if (!this.look.hidden.delete(level)) this.look.hidden.add(level);
      row.setAttribute('aria-checked', String(!this.look.hidden.has(level)));
      onChange();
    };
    const row = el(
      'button',
      { role: 'treeitem', 'aria-checked': 'true', class: 'level', title: `Show or hide level ${level}`, click: toggle },
      el('span', { class: 'line' }, dot, el('span', { class: 'label' }, `${level} ${LEVEL_NAMES[level]}`), agents), bar, el('span', { class: 'line' }, step, state),
    );
    this.rows[level] = { row, dot, agents, bar, step, state, said };
    const item = el('li', { role: 'none' }, row, said);
    item.style.setProperty('--depth', String(6 - level));
    return item;
  }
}

function arrows(sign: string, many: number | undefined, what: string): HTMLElement {
  return el('span', { class: many ? 'some' : '', title: `${count(many)} ${what}` }, `${sign} ${count(many)}`);
}

function duration(ms: number): string {
  return ms < 100 ? `${ms} ms` : ms < 600_000 ? `${ms / 1000} s` : `${Math.round(ms / 60_000)} min`;
}
