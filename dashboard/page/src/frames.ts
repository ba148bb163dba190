// Binary frames of the server (dashboard/frames.py): a JSON header, then the columns as they lie in memory.

export type Column = Uint8Array | Uint16Array | Uint32Array | Int32Array | Float32Array | Float64Array | BigInt64Array;

export interface Described {
  name: string;
  type: string;
  length: number;
  offset?: number;
  scale?: number;
}

export interface Frame {
  kind: string;
  header: Record<string, unknown>;
  columns: Record<string, Column>;
  described: Record<string, Described>;
}

const TYPES: Record<string, new (buffer: ArrayBuffer, at: number, length: number) => Column> = {
  u1: Uint8Array,
  u2: Uint16Array,
  u4: Uint32Array,
  i4: Int32Array,
  i8: BigInt64Array,
  f4: Float32Array,
  f8: Float64Array,
};

export function decode(buffer: ArrayBuffer): Frame {
  const size = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, size)));
  const columns: Record<string, Column> = {};
  const described: Record<string, Described> = {};
  let at = 4 + size;
  for (const entry of header.columns as Described[]) {
    const type = TYPES[entry.type];
    if (!type) throw new Error(`a column of type ${entry.type}`);
    const column = new type(buffer, at, entry.length);
    columns[entry.name] = column;
    described[entry.name] = entry;
    at += Math.ceil(column.byteLength / 8) * 8;
  }
  return { kind: header.kind, header, columns, described };
}
