/** In DNS over TCP, each message follows its length in two bytes. */
export function frame(message: Uint8Array): Uint8Array {
  const framed = new Uint8Array(message.length + 2)
  framed[0] = message.length >> 8
  framed[1] = message.length & 255
  framed.set(message, 2)
  return framed
}

/** Takes chunks and calls `take` with each whole message. Keeps at most one unfinished message of 64 KiB. */
export function readFrames(take: (message: Uint8Array) => void): (chunk: Uint8Array) => void {
  let rest = Buffer.alloc(0)
  return (chunk) => {
    rest = rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([rest, chunk])
    for (;;) {
      if (rest.length < 2) return
      const end = 2 + rest.readUInt16BE(0)
      if (rest.length < end) return
      take(rest.subarray(2, end))
      rest = rest.subarray(end)
    }
  }
}
