import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Outside } from '../runtime/outside.ts'
import { type SigningIssuer, signToken } from './issuer.ts'
import { importKey } from './issuer-key.ts'
import { findWorld, stateDir, takeDir } from './state-file.ts'

/** For whom, and as whom. */
export interface MintOptions {
  readonly audience: string
  /** Undefined: the ServiceAccount `default` of the namespace that the audience is in. */
  readonly subject: string | undefined
}

export type Minted =
  | { readonly kind: 'token'; readonly token: string; readonly subject: string }
  /** In words that say what to do. */
  | { readonly kind: 'failed'; readonly reason: string }

/**
 * Leaves what it takes to make tokens where only this user can read it, beside the state file of the world `pid`, until the
 * result is disposed. No address gives tokens away: on a machine of several users, anybody could ask it.
 * @throws what the file system says, and where the folder is somebody else's.
 */
export function leaveIssuer(dir: string, pid: number, { url, key }: SigningIssuer): Disposable {
  takeDir(dir)
  const file = issuerFile(dir, pid)
  const draft = `${file}.new`
  writeFileSync(draft, JSON.stringify({ url, key: key.privateJwk }), { mode: 0o600 })
  renameSync(draft, file)
  return { [Symbol.dispose]: () => rmSync(file, { force: true }) }
}

/** A token of the world that runs for `outside.cwd`, for curl and for tests. Never throws. */
export async function mint(
  { audience, subject = subjectFor(audience) }: MintOptions,
  outside: Pick<Outside, 'clock' | 'cwd' | 'env' | 'tempDir' | 'uid'>,
): Promise<Minted> {
  const world = await findWorld(outside.cwd, outside)
  if (world === undefined) return { kind: 'failed', reason: 'no Weir runs here; start one with `weir dev -f FILE`' }
  const issuer = readIssuer(issuerFile(stateDir(outside), world.pid))
  if (issuer === undefined) {
    const how = 'set `authentication-oidc: enabled` in the ConfigMap config-features of the namespace knative-eventing'
    return { kind: 'failed', reason: `that Weir asks nobody for a token: OIDC is off (to switch it on, ${how})` }
  }
  return { kind: 'token', subject, token: signToken(issuer, { audience, subject, nowMs: outside.clock.nowMs() }) }
}

function readIssuer(file: string): SigningIssuer | undefined {
  try {
    const { url, key } = JSON.parse(readFileSync(file, 'utf8')) as { readonly url: unknown; readonly key: unknown }
    return typeof url === 'string' ? { url, key: importKey(key) } : undefined
  } catch {
    return undefined // Not there yet, or gone since.
  }
}

function issuerFile(dir: string, pid: number): string {
  return join(dir, `${pid}.issuer`)
}

/** A pod's own account where it names none: whoever is asked about the same namespace lets it in by default. */
function subjectFor(audience: string): string {
  const namespace = /^eventing\.knative\.dev\/broker\/([^/]+)\/[^/]+$/.exec(audience)?.[1] ?? 'default'
  return `system:serviceaccount:${namespace}:default`
}
