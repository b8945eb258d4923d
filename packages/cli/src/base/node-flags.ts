/** How our processes run: a small young generation saves 15 to 20 MB each, and costs planes nothing they would notice. */
export const nodeFlags: readonly string[] = ['--disable-warning=ExperimentalWarning', '--max-semi-space-size=2']
