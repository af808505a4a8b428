import type { Mistake } from '../crds/resource.ts'

/** What the local world tells a person while it runs. */
export type Told =
  /** A line that a local process printed. */
  | { readonly kind: 'output'; readonly replica: string; readonly line: string }
  | { readonly kind: 'info'; readonly text: string }
  /** Something does not work as it may be expected to. */
  | { readonly kind: 'warning'; readonly text: string }
  /** An edit that cannot be used; what was there before goes on. */
  | { readonly kind: 'mistakes'; readonly mistakes: readonly Mistake[] }

export type Tell = (told: Told) => void
