declare module 'kafkajs-snappy' {
  /** A codec as kafkajs takes it. */
  const codec: () => {
    compress(encoder: { readonly buffer: Buffer }): Promise<Buffer>
    decompress(buffer: Buffer): Promise<Buffer>
  }
  export = codec
}

declare module 'lz4js' {
  /** One LZ4 frame. Throws for what is none. */
  export function decompressBound(data: Uint8Array): number
  export function decompress(data: Uint8Array, mostBytes?: number): Uint8Array
}
