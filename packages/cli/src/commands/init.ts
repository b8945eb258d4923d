import { join } from 'node:path'
import { option, toggle } from '@zonemesh/plane/config/options.ts'
import { z } from 'zod'
import { defineCommand } from '../base/command.ts'
import { dataFolderOf } from '../base/running-scene.ts'
import { prepareDataFolder } from '../scene/data-folder.ts'
import { templateNames, templates, writeTemplate } from '../scene/templates.ts'

export const init = defineCommand({
  name: 'init',
  summary: 'write a commented scene file, and its policies, to start with `zonemesh up`',
  usage: '[FOLDER] [--template NAME]',
  examples: ['zonemesh init', 'zonemesh init shop --template two-zones'],
  arity: { min: 0, max: 1 },
  options: {
    template: option(
      z.enum(templateNames, { error: `expected one of: ${templateNames.join(', ')}` }).default('two-zones'),
      `what the scene shows: ${templateNames.map((name) => `${name} (${templates[name]})`).join('; ')}`,
      { placeholder: 'NAME', shownDefault: 'two-zones' },
    ),
    force: option(toggle.default(false), 'replace files that exist'),
  },
  async run({ template, force }, { positionals, print }) {
    const [folder = '.'] = positionals
    for (const file of await writeTemplate(template, folder, force)) print(`wrote ${join(folder, file)}`)
    prepareDataFolder(dataFolderOf({ file: join(folder, 'zonemesh.yaml'), dataDir: undefined }))
    print(`Start it${folder === '.' ? '' : ` in ${folder}`} with: zonemesh up`)
    return 0
  },
})
