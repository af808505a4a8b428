/** What the API answers to a question. @throws its own words where it refuses. */
export async function ask<Shape>(path: string, signal: AbortSignal): Promise<Shape> {
  return await answerOf<Shape>(await fetch(`/api/v1/${path}`, { signal }))
}

/** Does something. @throws its own words where it refuses. */
export async function act<Shape>(path: string, body: object): Promise<Shape> {
  const headers = { 'content-type': 'application/json' }
  return await answerOf<Shape>(await fetch(`/api/v1/${path}`, { method: 'POST', headers, body: JSON.stringify(body) }))
}

async function answerOf<Shape>(response: Response): Promise<Shape> {
  const said: unknown = await response.json().catch(() => undefined)
  // The shape is promised by contract/api.ts.
  if (response.ok && typeof said === 'object' && said !== null) return said as Shape
  const detail = (said as { readonly detail?: unknown } | undefined)?.detail
  throw new Error(typeof detail === 'string' ? detail : `Weir answered ${response.status}.`)
}

export function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
