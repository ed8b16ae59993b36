// Server-sent events out of a response's bytes. (EventSource can only GET.)

const LONGEST = 16 * 2 ** 20;

/**
 * The events of a stream; a comment line is an event of the kind "" (a sign of life).
 * @param {ReadableStream<Uint8Array>} body
 * @returns {AsyncGenerator<{kind: string, data: any}>}
 */
export async function* events(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  let kind = "";
  let data = "";
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
        if (line.startsWith(":")) yield { kind: "", data: null };
        else if (line.startsWith("event:")) kind = line.slice(6).trim();
        else if (line.startsWith("data:")) data += line.slice(5);
        else if (line === "" && kind) {
          yield { kind, data: JSON.parse(data) };
          kind = data = "";
        }
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
