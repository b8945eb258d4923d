import { option } from '@zonemesh/plane/config/options.ts'
import { z } from 'zod'

const about = (shownDefault: string) => ({ placeholder: 'FORMAT', short: 'o', shownDefault })

/** The option for the form of an output that is a table. */
export const tableOrJson = option(
  z.enum(['table', 'json']).default('table'),
  'how to show it: table, json',
  about('table'),
)

/** The option for the form of an output that is a text. */
export const textOrJson = option(z.enum(['text', 'json']).default('text'), 'how to show it: text, json', about('text'))
