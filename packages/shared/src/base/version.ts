import manifest from '../../../../package.json' with { type: 'json' }

/** The version of this software. package.json is its only place; `test/packaging` compares what cannot read it. */
export const version: string = manifest.version
