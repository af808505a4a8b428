import { copyFile, mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { build } from 'esbuild'

/** Where the status server looks for the page. */
export const DIST = join(import.meta.dirname, 'dist')

/**
 * Writes the page into `folder`: index.html, icon.svg, app.js, app.css, and nothing inline in any of them, because the page is
 * served under a policy that forbids it (CSP Level 3, `script-src 'self'; style-src 'self'`).
 * @throws where a source does not compile; esbuild has then printed file, line and reason.
 */
export async function buildConsole(folder: string): Promise<void> {
  const here = import.meta.dirname
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true })
  await build({
    entryPoints: { app: join(here, 'main.tsx') },
    outdir: folder,
    bundle: true,
    minify: true,
    format: 'esm',
    target: ['es2022', 'chrome111', 'firefox113', 'safari16.4'],
    jsx: 'automatic',
    jsxImportSource: 'preact',
    tsconfigRaw: {},
    define: { 'process.env.NODE_ENV': '"production"' },
    legalComments: 'none',
    logLevel: 'warning',
  })
  await build({
    entryPoints: [join(here, 'app.css')],
    outdir: folder,
    bundle: true,
    minify: true,
    target: ['chrome111', 'firefox113', 'safari16.4'],
    logLevel: 'warning',
  })
  for (const name of ['index.html', 'icon.svg']) await copyFile(join(here, name), join(folder, name))
}

if (import.meta.main) await buildConsole(DIST)
