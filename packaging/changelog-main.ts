// npm run changelog: writes CHANGELOG.md.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { composeChangelog } from './changelog.ts'
import { root } from './project.ts'

writeFileSync(join(root, 'CHANGELOG.md'), composeChangelog())
