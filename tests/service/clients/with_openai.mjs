// What users of the npm package `openai` do; the service's URL is the argument.
import assert from 'node:assert';
import OpenAI from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';

const client = new OpenAI({ baseURL: process.argv[2] + '/v1', apiKey: 'none', maxRetries: 0 });
const model = 'gork-heavy-lite', messages = [{ role: 'user', content: 'hi' }];
const City = z.object({ id: z.uuid(), at: z.iso.date(), ip: z.ipv4() });
assert((await client.chat.completions.create({ model, messages })).choices[0].message.content);
const parsed = await client.chat.completions.parse({ model, messages, response_format: zodResponseFormat(City, 'city') });
assert(parsed.choices[0].message.parsed.id);
const first = await client.responses.create({ model, input: 'hi' });
assert((await client.responses.create({ model, input: 'again', previous_response_id: first.id })).output_text);
let ended = false;
for await (const event of await client.responses.create({ model, input: 'hi', stream: true })) ended ||= event.type === 'response.completed';
assert(ended);
