/** Words that no message to a user contains: those of libraries, of the language, and of pages of proxies. */
const forbidden: readonly RegExp[] = [
  /Invalid (input|option|string|number|key|element)/,
  /Too (big|small)/,
  /Unrecognized key/,
  /\breceived (undefined|null|string|number|object|array|boolean|NaN)\b/,
  /\bNaN\b/,
  /\bundefined\b/,
  /\[object /,
  /\b(Type|Range|Syntax|Reference|Zod|Assertion)Error\b/,
  /ERR_[A-Z]/,
  /FST_/,
  /Cannot (read|set|convert)|is not (a function|iterable)/,
  /<!doctype|<html|<body/i,
  /Invalid URL/,
  /\n\s+at .*:\d+/,
]

/** The forbidden words in a message. */
export const forbiddenIn = (message: string): readonly string[] =>
  forbidden.flatMap((one) => one.exec(message)?.slice(0, 1) ?? [])
