// What the server says in its JSON messages (dashboard/state.py).

export interface World {
  name: string;
  min_m: [number, number, number];
  max_m: [number, number, number];
  cell_m: [number, number, number];
  origin: [number, number] | null;
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

export interface News {
  now_s: number;
  time_us: number;
  watermark_us: number | null;
  account: Record<string, number>;
  counts: Record<string, number>;
  agents: number;
  levels: number[];
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
