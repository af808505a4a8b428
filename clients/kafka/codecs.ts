import { promisify } from 'node:util'
import { zstdDecompress } from 'node:zlib'

const unpack = promisify(zstdDecompress)

/** More than a batch of records can be by any broker's settings that make sense: what claims more is hostile. */
const UNPACKED_MAX_BYTES = 128 * 1024 * 1024

/** Teaches the library every way in which producers compress; on its own it stops for good at all of them but gzip. Idempotent. */
export async function registerCodecs(): Promise<void> {
  const [{ default: kafkajs }, { default: snappy }, { default: lz4 }] = await Promise.all([
    import('kafkajs'),
    import('kafkajs-snappy'),
    import('lz4js'),
  ])
  const { CompressionTypes, CompressionCodecs } = kafkajs
  CompressionCodecs[CompressionTypes.Snappy] = snappy
  CompressionCodecs[CompressionTypes.LZ4] = () => ({
    compress: notWritten,
    decompress: async (buffer: Buffer) => {
      // The library writes what fits and no more.
      const mostBytes = Math.min(lz4.decompressBound(buffer), UNPACKED_MAX_BYTES)
      return Buffer.from(lz4.decompress(buffer, mostBytes))
    },
  })
  CompressionCodecs[CompressionTypes.ZSTD] = () => ({
    compress: notWritten,
    decompress: (buffer: Buffer) => unpack(buffer, { maxOutputLength: UNPACKED_MAX_BYTES }),
  })
}

/** What goes out is not compressed. */
async function notWritten(): Promise<never> {
  throw new Error('records are read in this codec and not written')
}
