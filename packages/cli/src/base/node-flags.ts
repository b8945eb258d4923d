/** Node flags of our processes. A small young generation saves 15 to 20 MB per process at no noticeable cost. */
export const nodeFlags: readonly string[] = ['--disable-warning=ExperimentalWarning', '--max-semi-space-size=2']
