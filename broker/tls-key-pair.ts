import { constants, X509Certificate } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { createSecureContext } from 'node:tls'

/** Two PEM files: the certificate first and then its chain, and its private key, without a passphrase. */
export interface TlsFiles {
  readonly certFile: string
  readonly keyFile: string
}

/** A certificate and its key that OpenSSL has accepted together. */
export interface KeyPair {
  readonly cert: Buffer
  readonly key: Buffer
  /** When the certificate ends, in ms since the epoch. */
  readonly notAfterMs: number
  /** Of the certificate, as `openssl x509 -fingerprint -sha256` shows it. */
  readonly fingerprint: string
}

/** The files cannot be used. The message says which and why, and has nothing of the key in it. */
export class KeyPairError extends Error {
  override readonly name = 'KeyPairError'
  readonly code = 'TLS_KEY_PAIR'
  readonly certFile: string
  readonly keyFile: string

  constructor({ certFile, keyFile }: TlsFiles, why: string, cause?: unknown) {
    super(`The TLS certificate ${certFile} with the key ${keyFile} cannot be used: ${why}.`, { cause })
    this.certFile = certFile
    this.keyFile = keyFile
  }
}

/** A file that is larger is something else. */
const FILE_MAX_BYTES = 1 << 20

/** Reads the files and tries them. @throws {KeyPairError} one is missing or broken, or they do not belong together. */
export async function readKeyPair(files: TlsFiles): Promise<KeyPair> {
  const cert = await readPem(files, files.certFile)
  const key = await readPem(files, files.keyFile)
  try {
    createSecureContext({ cert, key })
    const { validToDate, fingerprint256 } = new X509Certificate(cert)
    return { cert, key, notAfterMs: validToDate.getTime(), fingerprint: fingerprint256 }
  } catch (error) {
    throw new KeyPairError(files, opensslWords(error), error)
  }
}

/** What a server speaks TLS with: 1.2 at least, and no renegotiation, which costs a server more than its clients. */
export function tlsSettings({ cert, key }: KeyPair) {
  return { cert, key, minVersion: 'TLSv1.2', secureOptions: constants.SSL_OP_NO_RENEGOTIATION } as const
}

async function readPem(files: TlsFiles, file: string): Promise<Buffer> {
  try {
    const found = await stat(file)
    if (!found.isFile()) throw new KeyPairError(files, `${file} is no file`)
    if (found.size > FILE_MAX_BYTES) throw new KeyPairError(files, `${file} is larger than ${FILE_MAX_BYTES} bytes`)
    return await readFile(file)
  } catch (error) {
    if (error instanceof KeyPairError) throw error
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    throw new KeyPairError(
      files,
      code === 'ENOENT' ? `${file} is not there` : `${file} cannot be read (${code})`,
      error,
    )
  }
}

function opensslWords(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  switch (code) {
    case 'ERR_OSSL_X509_KEY_VALUES_MISMATCH':
    case 'ERR_OSSL_X509_KEY_TYPE_MISMATCH':
      return 'the key belongs to another certificate'
    case 'ERR_OSSL_PEM_NO_START_LINE':
      return 'the certificate is no PEM'
    case 'ERR_OSSL_CRYPTO_INTERRUPTED_OR_CANCELLED':
    case 'ERR_OSSL_PEM_BAD_PASSWORD_READ':
      return 'the key has a passphrase; give it without'
    case 'ERR_OSSL_UNSUPPORTED':
      return 'the key is no PEM, or of an unknown kind'
    default:
      return error instanceof Error ? error.message : String(error)
  }
}
