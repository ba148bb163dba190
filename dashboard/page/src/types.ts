// What the server says in its JSON messages (dashboard/state.py).

export interface World {
  name: string;
  min_m: [number, number, number];
  max_m: [number, number, number];
  cell_m: [number, number, number];
  origin: [number, number] | null;
  time_scales_ms: number[];
}

export interface Alert {
  number: number;
  kind: 'agent' | 'cell' | 'invariant';
  time_us: number;
  agent_id: string | null;
  agent: string | null;
  window: string | null;
  start_us: number | null;
  cx: number | null;
  cy: number | null;
  cz: number | null;
  x_m: number | null;
  y_m: number | null;
  z_m: number | null;
  score: number | null;
  threshold: number | null;
  reason: string | null;
}

export interface Component {
  name: string;
  pid: number;
  cpu_share: number;
  memory_mb: number;
  up_s: number;
  status: string;
}

export interface Cluster {
  state: string;
  nodes: number;
  wanted: number;
  restarts?: number;
  recovery_s?: number | null;
  failure?: string;
  most?: number;
  killed?: { pid: number; at_s: number; back_s: number | null } | null;
}

/** What the newest step of a level says. */
export interface LevelState {
  time_us: number;
  regions: number;
  events: number;
  agents: number;
  up: number;
  down: number;
  metrics: Record<string, { mean: number | null; state: number | null; gap: number | null }>;
}

export interface HealthComponent {
  name: string;
  state: string;
  required: boolean;
  detail: string;
  todo: string;
  who: string;
}

export interface Decision {
  kind?: string;
  from_us: number;
  level?: number;
  share?: number;
  reason?: string;
  name?: string;
  sha256?: string;
}

export interface HealthState {
  overall: string;
  mode: string;
  level: string;
  fallbacks: string[];
  alerts: { severity: string; action: string; component: string; what: string; who: string }[];
  components: HealthComponent[];
  decisions: Decision[];
}

export interface News {
  now_s: number;
  time_us: number;
  watermark_us: number | null;
  source: 'flow' | 'kafka';
  account: Record<string, number> | null;
  counted: number | null; // events in the windows of the topics that were read
  counts: Record<string, number>;
  agents: number;
  levels: number[];
  hierarchy: (LevelState | null)[];
  health: HealthState;
  unknown: Record<string, string>; // why a curve or a panel is empty, by its name
  windows: Record<string, number>;
  columns: string[];
  layers: string[];
  components: Component[];
  graph: { steps: Record<string, [number, number, number]>; edges: [string, string][] };
  curves: string[];
  trouble: string;
  samples: (number | null)[][];
  alerts: Alert[];
  cluster: Cluster | null;
}
