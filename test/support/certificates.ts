import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import { isIP } from 'node:net'

/** Certificates for tests, made on the spot: X.509 version 3 on P-256 (RFC 5280), no more of it than a client looks at. */
export interface Certified {
  readonly name: string
  /** PEM. */
  readonly cert: string
  readonly key: string
  readonly privateKey: KeyObject
}

export interface CertificateOptions {
  /** Undefined: it signs itself, and may sign others. */
  readonly by?: Certified
  /** DNS names and IPv4 addresses that it is for. */
  readonly names?: readonly string[]
  readonly notBeforeMs?: number
  readonly notAfterMs?: number
}

const DAY_MS = 24 * 3_600_000

/** A certificate for 127.0.0.1 and localhost, and its key. Valid from yesterday until tomorrow, unless told otherwise. */
export function makeCertificate(name: string, options: CertificateOptions = {}): Certified {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const {
    by,
    names = ['localhost', '127.0.0.1'],
    notBeforeMs = Date.now() - DAY_MS,
    notAfterMs = Date.now() + DAY_MS,
  } = options
  const serial = randomBytes(9)
  serial[0] = 1
  const body = sequence(
    tlv(0xa0, integer(Buffer.of(2))),
    integer(serial),
    ECDSA_SHA256,
    nameOf(by?.name ?? name),
    sequence(time(notBeforeMs), time(notAfterMs)),
    nameOf(name),
    publicKey.export({ type: 'spki', format: 'der' }),
    tlv(0xa3, sequence(...(by === undefined ? [AUTHORITY] : []), addresses(names))),
  )
  const signature = sign('sha256', body, by?.privateKey ?? privateKey)
  const der = sequence(body, ECDSA_SHA256, tlv(0x03, Buffer.of(0), signature))
  const lines = der.toString('base64').replace(/.{1,64}/g, '$&\n')
  const cert = `-----BEGIN CERTIFICATE-----\n${lines}-----END CERTIFICATE-----\n`
  return { name, cert, key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), privateKey }
}

function tlv(tag: number, ...contents: Uint8Array[]): Buffer {
  const content = Buffer.concat(contents)
  const { length } = content
  const head = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.of(tag, ...head), content])
}

function sequence(...contents: Uint8Array[]): Buffer {
  return tlv(0x30, ...contents)
}

function integer(bytes: Buffer): Buffer {
  return tlv(0x02, bytes)
}

function oid(hex: string): Buffer {
  return tlv(0x06, Buffer.from(hex, 'hex'))
}

function nameOf(commonName: string): Buffer {
  return sequence(tlv(0x31, sequence(oid('550403'), tlv(0x0c, Buffer.from(commonName)))))
}

/** UTCTime, until 2049. */
function time(ms: number): Buffer {
  const text = new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, '')
  return tlv(0x17, Buffer.from(text.slice(2)))
}

const ECDSA_SHA256 = sequence(oid('2a8648ce3d040302'))
/** Basic constraints, critical: it may sign others. */
const AUTHORITY = sequence(oid('551d13'), tlv(0x01, Buffer.of(0xff)), tlv(0x04, sequence(tlv(0x01, Buffer.of(0xff)))))

/** Subject alternative names. */
function addresses(names: readonly string[]): Buffer {
  const tagged = names.map(name =>
    isIP(name) === 4 ? tlv(0x87, Buffer.from(name.split('.').map(Number))) : tlv(0x82, Buffer.from(name)),
  )
  return sequence(oid('551d11'), tlv(0x04, sequence(...tagged)))
}
