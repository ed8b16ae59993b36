// Server-sent events out of a response's bytes. (EventSource can only GET.)

const LONGEST = 16 * 2 ** 20;

/** @typedef {{kind: string, data: any, id: number}} Sent an event; `id` is its number, 0 where it has none */

/**
 * The events of a stream; a comment line is an event of the kind "" (a sign of life).
 * @param {ReadableStream<Uint8Array>} body
 * @returns {AsyncGenerator<Sent>}
 */
export async function* events(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  let kind = "";
  let data = "";
  let id = 0;
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      rest += decoder.decode(value, { stream: true });
      const lines = rest.split("\n");
      rest = lines.pop() ?? "";
      if (rest.length + data.length > LONGEST) throw new Error("the service sent more than fits in one event");
      for (const raw of lines) {
        const line = raw.endsWith("\r") ? raw.slice(0, -1) : raw;
        if (line.startsWith(":")) yield { kind: "", data: null, id: 0 };
        else if (line.startsWith("event:")) kind = line.slice(6).trim();
        else if (line.startsWith("id:")) id = Number(line.slice(3)) || 0;
        else if (line.startsWith("data:")) data += line.slice(5);
        else if (line === "" && kind) {
          yield { kind, data: JSON.parse(data), id };
          kind = data = "";
          id = 0;
        }
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
