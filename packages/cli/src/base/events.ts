import { z } from 'zod'
import type { Client } from './client.ts'
import { CommandError } from './command.ts'

/** One message of the stream of events of a plane. Messages of newer planes are left out. */
const messageSchema = z.discriminatedUnion('event', [
  z.object({ event: z.literal('start') }),
  z.object({ event: z.literal('resync'), data: z.object({ reason: z.string() }) }),
  z.object({ event: z.literal('end'), data: z.object({ reason: z.string() }) }),
  z.object({
    event: z.enum(['added', 'changed', 'deleted']),
    data: z.object({
      type: z.string(),
      mesh: z.string().default(''),
      name: z.string(),
      revision: z.string().optional(),
    }),
  }),
])
export type Message = z.infer<typeof messageSchema>

/** The bytes that one message may have. */
const messageBytesMax = 64 * 1024

/** The messages of a stream, until it ends. Throws a CommandError if the connection fails. */
export async function* readMessages(client: Client, path: string, signal: AbortSignal): AsyncGenerator<Message> {
  const decoder = new TextDecoder()
  let text = ''
  try {
    for await (const chunk of await client.stream(path, signal)) {
      text += decoder.decode(chunk, { stream: true })
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        const message = messageIn(text.slice(0, end))
        text = text.slice(end + 2)
        if (message) yield message
      }
      if (text.length > messageBytesMax)
        throw new CommandError(`${client.address} sends no messages of a control plane`)
    }
  } catch (thrown) {
    if (signal.aborted) return
    if (thrown instanceof CommandError) throw thrown
    throw new CommandError(`the connection to ${client.address} is lost`)
  }
}

function messageIn(block: string): Message | undefined {
  const fields = new Map(
    block.split('\n').map((line) => [line.split(': ')[0] ?? '', line.slice(line.indexOf(': ') + 2)]),
  )
  const parsed = messageSchema.safeParse({ event: fields.get('event'), data: jsonOf(fields.get('data') ?? '') })
  return parsed.success ? parsed.data : undefined
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
