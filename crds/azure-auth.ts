import { type Fields, present, type Value } from './reader.ts'

/** `workloadIdentity: {clientId}`: the identity that the workload has at Azure; `clientId` where it has several. */
export interface AzureIdentity {
  readonly clientId?: string
}

export function readIdentity(value: Value | undefined): AzureIdentity | undefined {
  if (value === undefined) return undefined
  return present({
    clientId: value
      .fields({ known: ['clientId'] })
      .get('clientId')
      ?.word(),
  })
}

/** Says where none of `names` is there, and where a second one is. `place` in backticks. */
export function onlyOne<Name extends string>(
  spec: Fields<'auth'>,
  auth: Fields<Name>,
  names: readonly Name[],
  place: string,
): void {
  const given = names.map(name => auth.get(name)).filter(one => one !== undefined)
  const words = names.map(name => `\`${name}\``)
  given[1]?.mistake(`${place} takes exactly one of ${words.slice(0, -1).join(', ')} and ${words.at(-1)}`)
  if (given.length === 0) spec.miss(`${place} needs ${words.slice(0, -1).join(', ')} or ${words.at(-1)}`)
}
