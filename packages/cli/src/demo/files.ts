import { join } from 'node:path'

/** The YAML of the demo's scene. */
export const demoFolder = join(process.env['ZONEMESH_ROOT'] ?? '.', 'demo')
