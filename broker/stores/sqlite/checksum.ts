import { crc32 } from 'node:zlib'

/**
 * The numbers of an event's row, folded into the start value of its checksum. Every step is a bijection of what came
 * before, so that one changed number always changes the result.
 */
export function seedOf(
  seq: number,
  acceptedMs: number,
  broker: number,
  hops: number,
  mode: number,
  keys: readonly number[],
): number {
  let seed = fold(0, seq)
  seed = fold(seed, Math.floor(seq / 2 ** 32))
  seed = fold(seed, acceptedMs)
  seed = fold(seed, Math.floor(acceptedMs / 2 ** 32))
  seed = fold(seed, broker)
  seed = fold(seed, hops * 2 + mode)
  for (const key of keys) seed = fold(seed, key)
  return seed >>> 0
}

function fold(seed: number, value: number): number {
  return Math.imul((seed << 5) | (seed >>> 27), 0x9e3779b1) ^ (value | 0)
}

/** CRC-32 of the text of the attributes followed by the body, from `seed` on. */
export function checksum(attributesAndBody: Uint8Array, seed: number): number {
  return crc32(attributesAndBody, seed)
}

/** The same where the two are not next to each other. */
export function checksumOf(attributes: Uint8Array, body: Uint8Array, seed: number): number {
  return crc32(body, crc32(attributes, seed))
}
