/** How deep a document may nest, so that recursion over it cannot exhaust the stack. */
export const nestingMax = 128

const [quote, backslash] = [0x22, 0x5c]
const [openList, openObject, closeList, closeObject] = [0x5b, 0x7b, 0x5d, 0x7d]

/** Counts brackets outside of strings in one pass. A regular expression would need quadratic time for some texts. */
export function nestsDeeper(text: string, levels: number): boolean {
  let depth = 0
  let inText = false
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index)
    if (inText) {
      if (code === backslash) index += 1
      else if (code === quote) inText = false
    } else if (code === quote) inText = true
    else if (code === openObject || code === openList) {
      depth += 1
      if (depth > levels) return true
    } else if (code === closeObject || code === closeList) depth -= 1
  }
  return false
}
