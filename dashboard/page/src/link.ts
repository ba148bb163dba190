// The connection: comes back by itself when the server has gone and is there again.

import { decode, type Frame } from './frames';
import type { News } from './types';

export type Status = 'connecting' | 'live' | 'lost';

const FIRST_MS = 250;
const MOST_MS = 4000;

export class Link {
  private socket?: WebSocket;
  private wait = FIRST_MS;
  private wants: Record<string, unknown> = {};

  constructor(
    private readonly onNews: (news: News) => void,
    private readonly onFrame: (frame: Frame) => void,
    private readonly onStatus: (status: Status) => void,
  ) {
    this.open();
  }

  ask(wants: Record<string, unknown>): void {
    this.wants = wants;
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(wants));
  }

  private open(): void {
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
    const socket = new WebSocket(`${scheme}://${location.host}/ws`);
    socket.binaryType = 'arraybuffer';
    this.socket = socket;
    socket.onopen = () => {
      this.wait = FIRST_MS;
      socket.send(JSON.stringify(this.wants));
      this.onStatus('live');
    };
    socket.onmessage = ({ data }) => {
      if (typeof data === 'string') this.onNews(JSON.parse(data));
      else this.onFrame(decode(data));
    };
    socket.onclose = () => {
      this.onStatus('lost');
      setTimeout(() => this.open(), this.wait);
      this.wait = Math.min(this.wait * 2, MOST_MS);
    };
  }
}
