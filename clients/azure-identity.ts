import type { TokenCredential } from '@azure/identity'
import { shownWords, type TroubleOf, trouble } from './trouble.ts'

/**
 * The identity that a workload has at Azure: the federated token of its service account (Azure Workload Identity), a managed
 * identity, or on a laptop whoever is logged in. The package loads when the first is asked for.
 * @param clientId which of several; undefined: the only one there is.
 */
export async function azureIdentity(clientId: string | undefined): Promise<TokenCredential> {
  const { DefaultAzureCredential } = await import('@azure/identity')
  if (clientId === undefined) return new DefaultAzureCredential()
  return new DefaultAzureCredential({ managedIdentityClientId: clientId, workloadIdentityClientId: clientId })
}

/** Whether `error` says that no token could be had, before anybody was asked for anything. */
export function isIdentityMissing(error: unknown): error is Error {
  return (
    error instanceof Error &&
    /^(CredentialUnavailable|AggregateAuthentication|Authentication(Required)?)Error$/.test(error.name)
  )
}

/** That, in words, at `place`. */
export function noIdentity(error: Error, place: string): TroubleOf<'denied'> {
  const words = shownWords(error.message) || 'no reason given'
  return trouble('denied', `${place} needs an identity of Azure, and this workload has none: ${words}`)
}
