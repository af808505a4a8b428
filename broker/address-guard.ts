import { isIP } from 'node:net'

/** What may be connected to beside public addresses. */
export interface AddressPolicy {
  readonly loopback: 'allow' | 'refuse'
  /** RFC 1918, unique local, and shared address space: where a cluster's own services are. */
  readonly private: 'allow' | 'refuse'
  /** CIDR ranges that may be connected to whatever they are. */
  readonly allow: readonly string[]
}

/** Why an IP address must not be connected to, in words; undefined: it may be. */
export type AddressGuard = (address: string) => string | undefined

type Kind = 'loopback' | 'private' | keyof typeof never

/** Nobody's subscriber is there, so these are refused unless they are allowed by name. */
const never = {
  metadata: 'a metadata address, where a cloud keeps credentials',
  'link-local': 'a link-local address, where clouds keep credentials',
  unspecified: 'the unspecified address, which is this machine',
  multicast: 'a multicast address',
  reserved: 'a reserved or broadcast address',
} as const

/** The first that holds an address says what it is (IANA special-purpose registries; the metadata services of clouds). */
const kinds: readonly (readonly [range: string, kind: Kind])[] = [
  ['169.254.169.254/32', 'metadata'],
  ['169.254.170.0/24', 'metadata'], // AWS: credentials of tasks and pods
  ['100.100.100.200/32', 'metadata'], // Alibaba
  ['168.63.129.16/32', 'metadata'], // Azure
  ['192.0.0.192/32', 'metadata'], // Oracle
  ['fd00:ec2::/32', 'metadata'], // AWS
  ['fd20:ce::254/128', 'metadata'], // Google
  ['fd00:42::42/128', 'metadata'], // Scaleway
  ['0.0.0.0/8', 'unspecified'],
  ['127.0.0.0/8', 'loopback'],
  ['169.254.0.0/16', 'link-local'],
  ['224.0.0.0/4', 'multicast'],
  ['240.0.0.0/4', 'reserved'],
  ['10.0.0.0/8', 'private'],
  ['172.16.0.0/12', 'private'],
  ['192.168.0.0/16', 'private'],
  ['100.64.0.0/10', 'private'],
  ['::/128', 'unspecified'],
  ['::1/128', 'loopback'],
  ['fe80::/10', 'link-local'],
  ['fec0::/10', 'private'],
  ['fc00::/7', 'private'],
  ['ff00::/8', 'multicast'],
]

/** IPv6 ranges whose addresses mean an IPv4 address too, and where in them it is; `only` where they mean nothing else. */
const carriers = [
  { range: parseRange('::ffff:0:0/96'), at: 12, only: true, inverted: false }, // mapped
  { range: parseRange('::ffff:0:0:0/96'), at: 12, only: false, inverted: false }, // translated
  { range: parseRange('::/96'), at: 12, only: false, inverted: false }, // compatible
  { range: parseRange('64:ff9b::/96'), at: 12, only: false, inverted: false }, // NAT64
  { range: parseRange('64:ff9b:1::/48'), at: 12, only: false, inverted: false }, // NAT64, local
  { range: parseRange('2002::/16'), at: 2, only: false, inverted: false }, // 6to4
  { range: parseRange('2001::/32'), at: 12, only: false, inverted: true }, // Teredo
]

const table = kinds.map(([range, kind]) => ({ range: parseRange(range), kind }))

/** @throws {RangeError} something in `policy.allow` is no range of addresses. */
export function buildAddressGuard(policy: AddressPolicy): AddressGuard {
  const allowed = policy.allow.map(parseRange)
  return address => {
    const bytes = parseAddress(address)
    if (bytes === undefined) return 'it is no IP address'
    if (allowed.some(range => holds(range, bytes))) return undefined
    for (const meant of meanings(bytes)) {
      if (allowed.some(range => holds(range, meant))) continue
      const kind = table.find(row => holds(row.range, meant))?.kind
      if (kind === undefined) continue
      if (kind === 'loopback' || kind === 'private') {
        if (policy[kind] === 'refuse') return `it is a ${kind} address, which this broker does not connect to`
      } else return `it is ${never[kind]}`
    }
    return undefined
  }
}

interface Range {
  readonly bytes: Uint8Array
  readonly bits: number
}

/** @throws {RangeError} */
function parseRange(text: string): Range {
  const [address = '', prefix, ...more] = text.split('/')
  const bytes = parseAddress(address)
  const bits = prefix === undefined ? (bytes?.length ?? 0) * 8 : /^\d{1,3}$/.test(prefix) ? Number(prefix) : -1
  if (bytes === undefined || bits < 0 || bits > bytes.length * 8 || more.length > 0) {
    throw new RangeError(`${text} is no range of addresses: write it as 10.1.0.0/16 or fd00:1::/32`)
  }
  return { bytes, bits }
}

function holds({ bytes, bits }: Range, address: Uint8Array): boolean {
  if (bytes.length !== address.length) return false
  for (let i = 0, left = bits; left > 0; i++, left -= 8) {
    const mask = left >= 8 ? 0xff : (0xff << (8 - left)) & 0xff
    if (((bytes[i] ?? 0) & mask) !== ((address[i] ?? 0) & mask)) return false
  }
  return true
}

/** The address, and every address that a gateway or the system would take it for. */
function meanings(bytes: Uint8Array): readonly Uint8Array[] {
  const carrier = carriers.find(({ range }) => holds(range, bytes))
  // `::` and `::1` are not IPv4 addresses of the old compatible form.
  if (carrier === undefined || bytes.subarray(0, 15).every(byte => byte === 0)) return [bytes]
  const carried = bytes.slice(carrier.at, carrier.at + 4).map(byte => (carrier.inverted ? ~byte : byte))
  return carrier.only ? [carried] : [carried, bytes]
}

/** 4 or 16 bytes. A zone at the end says only through which interface. */
function parseAddress(text: string): Uint8Array | undefined {
  const address = text.replace(/%.*$/s, '')
  switch (isIP(address)) {
    case 4:
      return Uint8Array.from(address.split('.'), Number)
    case 6:
      return parseIpv6(address)
    default:
      return undefined
  }
}

/** @param address is one: `isIP` said so. */
function parseIpv6(address: string): Uint8Array {
  const hex = address.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_all, a, b, c, d) => {
    return `${(Number(a) * 256 + Number(b)).toString(16)}:${(Number(c) * 256 + Number(d)).toString(16)}`
  })
  const [head = '', tail] = hex.split('::')
  const first = head === '' ? [] : head.split(':')
  const last = tail === undefined || tail === '' ? [] : tail.split(':')
  const groups = [...first, ...new Array<string>(8 - first.length - last.length).fill('0'), ...last]
  return Uint8Array.from(groups.flatMap(group => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 0xff]))
}
