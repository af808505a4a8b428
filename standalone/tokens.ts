import { join } from 'node:path'
import { fetchDocument } from '../broker/auth/fetch-document.ts'
import { openVerifier, type Verifier } from '../broker/auth/verifier.ts'
import type { Features } from '../crds/features.ts'
import type { Log } from '../runtime/log.ts'
import type { Outside } from '../runtime/outside.ts'
import type { StandaloneConfig } from './config.ts'
import { type LocalIssuer, openIssuer } from './issuer.ts'
import { leaveIssuer } from './mint.ts'
import { stateDir } from './state-file.ts'
import type { Tell } from './told.ts'

export interface TokensDeps {
  readonly outside: Pick<Outside, 'clock' | 'env' | 'pid' | 'uid' | 'tempDir'>
  readonly log: Log
  readonly tell: Tell
}

/** The tokens of a local world: those that it makes, and those that it takes. */
export interface Tokens extends Disposable {
  readonly issuer: LocalIssuer
  readonly verifier: Verifier
  /** The features now are these. */
  follow(features: Features): void
}

/** Kept beside the store. */
const KEY_FILE = 'issuer.jwk'

/** @throws {IssuerKeyError} the key that is kept is damaged. */
export function openTokens(config: Pick<StandaloneConfig, 'dataDir' | 'memory'>, deps: TokensDeps): Tokens {
  const { outside, log, tell } = deps
  let left: Disposable | undefined
  const issuer = openIssuer({
    clock: outside.clock,
    keyFile: config.dataDir === undefined || config.memory ? undefined : join(config.dataDir, KEY_FILE),
    say: text => tell({ kind: 'warning', text }),
    onReady(signing) {
      try {
        left = leaveIssuer(stateDir(outside), outside.pid, signing)
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error)
        tell({ kind: 'warning', text: `other terminals can make no tokens (weir token): ${why}` })
      }
    },
  })
  // Asked for every event, so it is put together only when it changes.
  let trusted: readonly string[] = []
  let other: string | undefined
  const trust = () => {
    trusted = [issuer.url, other].filter(url => url !== undefined)
    return trusted
  }
  const verifier = openVerifier({
    clock: outside.clock,
    log,
    issuers: () => (trusted[0] === issuer.url ? trusted : trust()),
    fetch: async (url, signal) => issuer.document(url) ?? (await fetchDocument(url, signal)),
  })
  return {
    issuer,
    verifier,
    follow(features) {
      if (features.oidc) issuer.prepare()
      other = features.oidc ? features.issuer : undefined
      trust()
    },
    [Symbol.dispose]() {
      issuer[Symbol.dispose]()
      left?.[Symbol.dispose]()
    },
  }
}
