import { registerHooks } from 'node:module'

// Loaded before a control plane (`node --import`): it plants a bug in the compiler that rows named "poison-…" trigger.
// The product itself has no such switch.
const whole = 'export function createCompiler('

registerHooks({
  load(url, context, next) {
    const loaded = next(url, context)
    if (!url.endsWith('/core/src/compile/compiler.ts')) return loaded
    const source = String(loaded.source)
    if (source.split(whole).length !== 2) throw new Error(`expected "${whole}" once in ${url}`)
    const planted = `
export function createCompiler(deps: CompilerDeps): Compiler {
  return createSoundCompiler({
    ...deps,
    faultPoint(_unit, reads) {
      if (reads.some((read) => read.includes('/poison-'))) throw new TypeError('planted: a bug of this compiler')
    },
  })
}
function createSoundCompiler(`
    return { ...loaded, source: source.replace(whole, planted) }
  },
})
