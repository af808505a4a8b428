import { getCACertificates } from 'node:tls'
import type { RabbitAccess } from './access.ts'

/** For a TLS connection to the server: whom it trusts. */
export function trustOf({ ca }: Pick<RabbitAccess, 'ca'>): { readonly ca?: string[] } {
  // What is given takes the place of what Node trusts by itself.
  return ca === undefined ? {} : { ca: [...getCACertificates('default'), ca] }
}
