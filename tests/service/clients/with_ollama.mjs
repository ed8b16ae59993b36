// What users of the npm package `ollama` do, with zod's schemas; the service's URL is the argument.
import assert from 'node:assert';
import { Ollama } from 'ollama';
import { z } from 'zod';

const client = new Ollama({ host: process.argv[2] });
const model = 'gork-heavy-lite', messages = [{ role: 'user', content: 'hi' }];
const City = z.object({ id: z.uuid(), day: z.iso.date(), name: z.string().startsWith('K').max(5000), tags: z.array(z.string()).max(2000) });
assert((await client.chat({ model, messages })).message.content);
let text = '';
for await (const part of await client.chat({ model, messages, stream: true })) text += part.message.content;
assert(text.trim());
assert(City.parse(JSON.parse((await client.chat({ model, messages, format: z.toJSONSchema(City) })).message.content)));
assert.equal((await client.pull({ model })).status, 'success');
