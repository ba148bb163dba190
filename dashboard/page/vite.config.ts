import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { defineConfig, type Plugin } from 'vite';

// What the build was made from, so that a test can tell without Node.js whether dist is of these sources.
const SOURCES = ['index.html', 'package-lock.json', 'public', 'src', 'vite.config.ts'];

function files(path: string): string[] {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path).flatMap((name) => files(join(path, name)));
}

function sources(): Plugin {
  return {
    name: 'sources',
    generateBundle() {
      const hash = createHash('sha256');
      for (const path of SOURCES.flatMap(files).sort()) hash.update(`${path}\0`).update(readFileSync(path)).update('\0');
      this.emitFile({ type: 'asset', fileName: 'sources.sha256', source: `${hash.digest('hex')}\n` });
    },
  };
}

// Built into dashboard/dist, which is committed: who has only Python needs no Node.js.
export default defineConfig({
  base: '/',
  plugins: [sources()],
  build: {
    outDir: '../dist',
    emptyOutDir: true,
    target: 'es2022',
    modulePreload: false,
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 2000,
    rollupOptions: {
      output: {
        entryFileNames: 'assets/[name].js',
        chunkFileNames: 'assets/[name].js',
        assetFileNames: 'assets/[name][extname]',
      },
    },
  },
});
