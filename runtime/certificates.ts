import { X509Certificate } from 'node:crypto'

const BLOCK = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g

/** A text that is to hold certificates holds none, or a damaged one. */
export class CertificatesError extends Error {
  override readonly name = 'CertificatesError'
}

/** The certificates (PEM) in a text. @throws {CertificatesError} OpenSSL would pass over both mistakes without a word. */
export function certificatesIn(pem: string): readonly string[] {
  const blocks = pem.match(BLOCK) ?? []
  if (blocks.length === 0) throw new CertificatesError('there is no certificate (PEM) in it')
  for (const [i, block] of blocks.entries()) {
    try {
      new X509Certificate(block)
    } catch (cause) {
      throw new CertificatesError(`certificate ${i + 1} of ${blocks.length} is damaged`, { cause })
    }
  }
  return blocks
}
